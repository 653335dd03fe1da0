"""The rules about accounts, log-in and applications. Pure: no clock, no database, no network."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import phonenumbers
from stdnum.exceptions import ValidationError
from stdnum.kr import brn

MAX_EMAIL = 254
MAX_NAME = 100
MAX_DISPLAY_NAME = 50
MIN_PASSWORD, MAX_PASSWORD = 8, 256


class Invalid(ValueError):
    """Input that breaks a rule; the message is for the person who typed it."""


class Role(enum.Enum):
    CUSTOMER = "CUSTOMER"
    PARTNER = "PARTNER"
    CREATOR = "CREATOR"
    ADMIN = "ADMIN"


SCOPES: Mapping[Role, frozenset[str]] = {
    Role.CUSTOMER: frozenset(),
    Role.CREATOR: frozenset({"project:owner"}),
    Role.PARTNER: frozenset(
        {
            "partner:self",
            "products:write",
            "inventory:read",
            "inventory:write",
            "shipments:write",
            "returns:write",
            "settlements:read",
        }
    ),
    Role.ADMIN: frozenset(
        {
            "users:read",
            "partners:review",
            "products:review",
            "products:write",
            "projects:review",
            "orders:read",
            "billing:read",
            "settlements:read",
            "settlements:write",
            "ledger:read",
            "refunds:write",
            "returns:write",
            "shipments:write",
            "tracking:report",
            "inventory:read",
            "inventory:write",
        }
    ),
}


def scopes_of(roles: Iterable[str]) -> list[str]:
    """What the roles may do, sorted."""
    return sorted(set[str]().union(*(SCOPES[Role(role)] for role in roles)))


# -- What people type -------------------------------------------------------------------------------------------------

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9-]{1,63})+")


def clean_email(given: str) -> str:
    """The address in the one form that is stored and compared (lower case). Raises Invalid."""
    email = unicodedata.normalize("NFKC", given).strip().lower()
    local = email.partition("@")[0]
    if len(email) > MAX_EMAIL or not _EMAIL.fullmatch(email) or ".." in email or local[0] == "." or local[-1] == ".":
        raise Invalid("This is not an e-mail address.")
    return email


def clean_text(given: str, *, what: str, limit: int) -> str:
    """One line of text without control characters, 1 to ``limit`` characters. Raises Invalid."""
    text = unicodedata.normalize("NFC", given).strip()
    if not 1 <= len(text) <= limit:
        raise Invalid(f"{what} has 1 to {limit} characters.")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise Invalid(f"{what} must not contain control characters.")
    return text


def clean_phone(given: str, region: str = "KR") -> str:
    """The number in E.164. Raises Invalid."""
    try:
        number = phonenumbers.parse(given[:40], region)
    except phonenumbers.NumberParseException:
        raise Invalid("This is not a phone number.") from None
    if not phonenumbers.is_valid_number(number):
        raise Invalid("This is not a phone number.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def clean_business_number(given: str) -> str:
    """The ten digits of a Korean business registration number, its check digit right. Raises Invalid."""
    try:
        number = str(brn.validate(given[:40]))
    except ValidationError:
        number = ""
    # The library leaves the check digit (National Tax Service's rule: weights, and the ninth product's tens) to us.
    if not number or int(number[9]) != business_check_digit(number[:9]):
        raise Invalid("This is not a valid business registration number.")
    return number


def business_check_digit(nine: str) -> int:
    """The tenth digit of a business registration number by its first nine."""
    products = [int(digit) * weight for digit, weight in zip(nine, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=True)]
    return -(sum(products) + products[8] // 10) % 10


def clean_digits(given: str, *, what: str, shortest: int, longest: int) -> str:
    """Digits, written with or without spaces and hyphens. Raises Invalid."""
    digits = re.sub(r"[\s-]", "", given[:80])
    if not (shortest <= len(digits) <= longest and digits.isascii() and digits.isdigit()):
        raise Invalid(f"{what} has {shortest} to {longest} digits.")
    return digits


def normalize_password(given: str) -> str:
    """NFKC, as NIST SP 800-63B 5.1.1.2 asks: the same password from any keyboard."""
    return unicodedata.normalize("NFKC", given)


def check_password(given: str, *, email: str, common: frozenset[str]) -> str:
    """The password normalised. Raises Invalid: length, a common one, one character or the e-mail repeated."""
    password = normalize_password(given)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
    folded = password.casefold()
    bare = folded.rstrip("0123456789!@#$%^&*.?_- ")
    if folded in common or bare in common or len(set(folded)) < 3 or folded in (email, email.partition("@")[0]):
        raise Invalid("This password is too easy to guess.")
    return password


def mask_email(email: str) -> str:
    """``mi***@example.com``: enough for its owner to recognise it."""
    local, _, host = email.partition("@")
    return f"{local[: min(2, len(local) - 1)]}***@{host}"


def mask_name(name: str) -> str:
    """``김*두``: how somebody is called in public who has not said how he wants to be called."""
    hidden = "*" * max(1, min(len(name) - 2, 6))
    return name[0] + hidden + (name[-1] if len(name) > 2 else "")


def slug_of(name: str, suffix: str) -> str:
    """A seller's slug: the ASCII letters and digits of the name, made unique by ``suffix``."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:60].strip("-")
    return f"{words or 'partner'}-{suffix.lower()}"


# -- Brute force ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Throttle:
    """How often something was tried. ``blocked_until``: nothing more before then."""

    tries: int
    window_start: datetime
    blocked_until: datetime | None = None
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class ThrottleRule:
    """``tries`` in ``window`` are free; each one more blocks, twice as long each time, from 1 s to 1 h."""

    tries: int
    window: timedelta
    escalating: bool = False


LOGIN = ThrottleRule(tries=5, window=timedelta(minutes=1), escalating=True)
MAIL_REQUESTS = ThrottleRule(tries=3, window=timedelta(hours=1))
SOCIAL_ATTEMPTS = ThrottleRule(tries=30, window=timedelta(minutes=10))
LONGEST_BLOCK = timedelta(hours=1)


def attempt(state: Throttle | None, rule: ThrottleRule, now: datetime) -> tuple[Throttle, bool]:
    """The state after one more try, and whether that try may go on. A refused try changes nothing."""
    if state is None:
        return Throttle(1, now), True
    if state.blocked_until is not None and now < state.blocked_until:
        return state, False
    idle = now - (state.blocked_until or state.window_start)
    if idle >= (LONGEST_BLOCK if state.blocks else rule.window):
        return Throttle(1, now), True
    if not rule.escalating and state.tries >= rule.tries:
        return state, False
    tries = state.tries + 1
    if not rule.escalating or tries < rule.tries:
        return replace(state, tries=tries), True
    # The block counts from this try: whoever waits it out gains one try a block.
    pause = min(timedelta(seconds=2 ** min(state.blocks, 12)), LONGEST_BLOCK)
    return Throttle(tries, state.window_start, now + pause, state.blocks + 1), True


# -- Notifications ----------------------------------------------------------------------------------------------------

TOLD_BY_TEXT = frozenset({"SHIPMENT_DISPATCHED"})
"""What people are told by text message unless they say otherwise."""


def default_channels(type: str, *, texts: bool) -> tuple[str, ...]:
    """The channels of a type for somebody who has not chosen."""
    return ("IN_APP", "EMAIL", "SMS") if texts and type in TOLD_BY_TEXT else ("IN_APP", "EMAIL")


# -- Partner applications ---------------------------------------------------------------------------------------------

SUBMITTED, IN_REVIEW, CHANGES_REQUESTED, APPROVED, REJECTED = (
    "SUBMITTED",
    "IN_REVIEW",
    "CHANGES_REQUESTED",
    "APPROVED",
    "REJECTED",
)
DECISIONS: Mapping[str, frozenset[str]] = {
    SUBMITTED: frozenset({IN_REVIEW, CHANGES_REQUESTED, APPROVED, REJECTED}),
    IN_REVIEW: frozenset({CHANGES_REQUESTED, APPROVED, REJECTED}),
    CHANGES_REQUESTED: frozenset({REJECTED}),
    APPROVED: frozenset(),
    REJECTED: frozenset(),
}
"""What a reviewer may decide, by status. The applicant takes CHANGES_REQUESTED back to SUBMITTED himself."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an application. ``kind`` is a PartnerCheckKind, ``status`` a CheckStatus."""

    kind: str
    status: str
    message: str | None = None


def checks_at_submission(*, terms_agreed: bool) -> tuple[Check, ...]:
    """The checks of an application whose fields are well formed (malformed ones were refused before)."""
    return (
        Check("BUSINESS_NUMBER", "PASSED", "The check digit is right."),
        Check("CONTACT", "PASSED", "The phone number exists in its numbering plan."),
        Check("BANK_ACCOUNT", "PENDING", "Well formed; its holder is not confirmed."),
        Check("TERMS", "PASSED" if terms_agreed else "FAILED", None if terms_agreed else "No terms were agreed to."),
        Check("MANUAL_REVIEW", "PENDING"),
    )


def checks_after_decision(checks: Iterable[Check], decision: str) -> tuple[Check, ...]:
    """Approval settles what was open: the review passed, the rest waived by the reviewer. Refusal fails the review."""

    def settle(check: Check) -> Check:
        if check.kind == "MANUAL_REVIEW":
            return replace(check, status={APPROVED: "PASSED", REJECTED: "FAILED"}.get(decision, "PENDING"))
        if decision == APPROVED and check.status == "PENDING":
            return replace(check, status="WAIVED", message="Accepted by the reviewer.")
        return check

    return tuple(settle(check) for check in checks)


def needs_reason(decision: str) -> bool:
    return decision in (REJECTED, CHANGES_REQUESTED)
