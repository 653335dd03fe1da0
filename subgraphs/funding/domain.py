"""Pure rules of funding: what a project may become, what a pledge costs, who has won at the deadline."""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_QUANTITY = 100
MAX_AMOUNT = 10**12
"""Minor units of a goal or a pledge: far above any campaign, far below 64 bits."""


class FundingModel(enum.Enum):
    ALL_OR_NOTHING = "ALL_OR_NOTHING"
    KEEP_IT_ALL = "KEEP_IT_ALL"


class ProductionStatus(enum.Enum):
    IDEA = "IDEA"
    PROTOTYPE = "PROTOTYPE"
    IN_PRODUCTION = "IN_PRODUCTION"
    SHIPPING = "SHIPPING"
    COMPLETED = "COMPLETED"


class ProjectStatus(enum.Enum):
    DRAFT = "DRAFT"
    IN_REVIEW = "IN_REVIEW"
    REJECTED = "REJECTED"
    SCHEDULED = "SCHEDULED"
    OPEN = "OPEN"
    COLLECTING = "COLLECTING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class PledgeStatus(enum.Enum):
    RESERVED = "RESERVED"
    AWAITING_DEPOSIT = "AWAITING_DEPOSIT"
    COLLECTING = "COLLECTING"
    COLLECTED = "COLLECTED"
    COLLECTION_FAILED = "COLLECTION_FAILED"
    CANCELED = "CANCELED"
    RELEASED = "RELEASED"
    REFUNDED = "REFUNDED"


class PostAudience(enum.Enum):
    EVERYONE = "EVERYONE"
    BACKERS = "BACKERS"


class ProjectSort(enum.Enum):
    POPULAR = "POPULAR"
    NEWEST = "NEWEST"
    ENDING_SOON = "ENDING_SOON"
    MOST_FUNDED = "MOST_FUNDED"
    RECOMMENDED = "RECOMMENDED"


P = ProjectStatus

TRANSITIONS: dict[ProjectStatus, tuple[ProjectStatus, ...]] = {
    P.DRAFT: (P.IN_REVIEW, P.CANCELED),
    P.IN_REVIEW: (P.SCHEDULED, P.OPEN, P.REJECTED, P.CANCELED),
    P.REJECTED: (P.IN_REVIEW, P.CANCELED),
    P.SCHEDULED: (P.OPEN, P.CANCELED),
    P.OPEN: (P.COLLECTING, P.FAILED, P.CANCELED),
    P.COLLECTING: (P.SUCCEEDED, P.FAILED),
    P.SUCCEEDED: (),
    P.FAILED: (),
    P.CANCELED: (),
}

EDITABLE = frozenset({P.DRAFT, P.REJECTED})
"""Everything may still change."""

TEXT_EDITABLE = EDITABLE | {P.IN_REVIEW, P.SCHEDULED, P.OPEN}
"""Title and story may change, goal and period only in EDITABLE."""

PUBLIC = frozenset({P.SCHEDULED, P.OPEN, P.COLLECTING, P.SUCCEEDED, P.FAILED, P.CANCELED})
"""Everybody sees it. (A project cancelled before it was published has no ``published_at`` and stays hidden.)"""

LIVE_PLEDGES = frozenset(
    {PledgeStatus.RESERVED, PledgeStatus.AWAITING_DEPOSIT, PledgeStatus.COLLECTING, PledgeStatus.COLLECTED}
)
"""Pledges that stand: they hold a reward's units."""

RAISED = LIVE_PLEDGES | {PledgeStatus.RELEASED}
"""Pledges that a project's figures count: those of a failed project keep saying how far it came."""


def may_become(now: ProjectStatus, then: ProjectStatus) -> bool:
    return then in TRANSITIONS[now]


def opening_status(opens_at: datetime | None, now: datetime) -> ProjectStatus:
    """What an approved project becomes."""
    return P.SCHEDULED if opens_at is not None and opens_at > now else P.OPEN


def takes_pledges(status: ProjectStatus, closes_at: datetime, now: datetime) -> bool:
    """Open, and before the deadline even if nobody has closed it yet."""
    return status is P.OPEN and now < closes_at


def verdict(model: FundingModel, pledged: int, goal: int) -> ProjectStatus:
    """What the deadline brings: the goal counts as reached by reaching it exactly."""
    if pledged > 0 and (model is FundingModel.KEEP_IT_ALL or pledged >= goal):
        return P.COLLECTING
    return P.FAILED


def progress_percent(pledged: int, goal: int) -> int:
    """Rounded down: 100 means the goal is reached, not that it nearly is."""
    return pledged * 100 // goal


def pledge_total(minimum: int, quantity: int, additional: int) -> int:
    """What a backer promises: the reward's price for each unit, and whatever is given on top."""
    return minimum * quantity + additional


@dataclass(frozen=True, slots=True)
class Period:
    opens_at: datetime | None
    closes_at: datetime


def period_problem(period: Period, now: datetime, longest_days: int) -> str | None:
    """Why a project cannot run in this period, or None."""
    begins = max(period.opens_at or now, now)
    if period.closes_at <= begins:
        return "It must close after it opens, and not in the past."
    if period.closes_at - begins > timedelta(days=longest_days):
        return f"It can run for {longest_days} days at most."
    return None


def text_problem(text: str, at_most: int) -> str | None:
    """Why a text cannot be taken, or None: empty, too long, control characters other than line breaks."""
    if not text.strip():
        return "This must not be empty."
    if len(text) > at_most:
        return f"At most {at_most} characters."
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\r\t" for each in text):
        return "This has control characters."
    return None


def slug_of(title: str, suffix: str) -> str:
    """A readable address: Korean and Latin letters and digits, words joined by hyphens, and a suffix of its own."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", title).casefold())
    return "-".join([*words, suffix.lower()])[-100:]


def folded(text: str) -> str:
    """Text as it is searched: one width, one case."""
    return unicodedata.normalize("NFKC", text).casefold()
