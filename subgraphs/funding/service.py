"""Use cases of creators: projects, rewards, posts. (Pledges and conversation have files of their own.)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from messaging.events import EventData
from messaging.events.funding import PledgeCanceled, ProjectChanged
from messaging.outbox import record
from subgraphs.funding.backers import News, changed_parts, tell_backers
from subgraphs.funding.domain import (
    EDITABLE,
    MAX_AMOUNT,
    PUBLIC,
    TEXT_EDITABLE,
    FundingModel,
    Period,
    PledgeStatus,
    PostAudience,
    ProjectStatus,
    folded,
    may_become,
    opening_status,
    period_problem,
    slug_of,
    text_problem,
    verdict,
)
from subgraphs.funding.models import categories, idempotency, outbox, pledges, posts, projects, rewards
from subgraphs.funding.pledging import SOURCE, give_back
from subgraphs.kit.changes import Changes
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.idempotency import Request, answer, claim
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid

Work = Callable[[AsyncConnection], Any]


@dataclass(frozen=True, slots=True)
class ProjectDraft:
    """What a creator writes. ``goal_amount`` in minor units."""

    title: str
    story: str
    category_id: str
    goal_amount: int
    currency: str
    closes_at: datetime
    funding_model: FundingModel
    summary: str | None = None
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RewardDraft:
    title: str
    description: str
    minimum_amount: int
    estimated_delivery_on: date
    total_quantity: int | None = None
    shipping_required: bool = True


class Projects:
    """What creators and reviewers do, and what the clock does."""

    def __init__(
        self,
        database: Database,
        changes: Changes,
        wake_relay: Callable[[], None],
        now: Callable[[], datetime],
        longest_days: int,
    ) -> None:
        self._database = database
        self._changes = changes
        self._wake_relay = wake_relay
        self._now = now
        self._longest_days = longest_days

    async def create(self, creator_id: str, draft: ProjectDraft, request: Request) -> str:
        """A new draft; its id. Raises Rejected, RejectedTogether."""

        async def work(tx: AsyncConnection) -> str:
            (earlier,) = await claim(tx, idempotency, [request])
            if isinstance(earlier, Rejected):
                raise earlier
            if earlier is not None:
                return str(earlier)
            self._check(draft)  # not before: what was taken once is answered alike when its dates have passed
            await _check_category(tx, draft.category_id)
            project_id = new_ulid()
            row = _columns(draft) | {
                "id": project_id,
                "slug": slug_of(draft.title, project_id[-8:]),
                "creator_id": creator_id,
                "media": [],
                "production_status": "IDEA",
                "status": ProjectStatus.DRAFT.value,
                "created_at": self._now(),
            }
            await tx.execute(insert(projects), row)
            await answer(tx, idempotency, [(request, project_id)])
            return project_id

        return await self._database.run(work)

    async def update(self, creator_id: str, project_id: str, version: int, draft: ProjectDraft) -> None:
        """Change a project; once submitted its goal, currency, model and period stand. Raises Rejected."""
        self._check_texts(draft)

        async def work(tx: AsyncConnection) -> None:
            row = await own_project(tx, creator_id, project_id)
            if row.version != version:
                raise Rejected("VERSION_CONFLICT", f"This project is at version {row.version} now.", ["version"])
            status = ProjectStatus(row.status)
            if status not in TEXT_EDITABLE:
                raise Rejected("PROJECT_LOCKED", f"A project that is {status.value} stays as it is.", ["id"])
            if status in EDITABLE:
                self._check(draft)
            elif _terms(draft) != _terms_of(row):
                raise Rejected("PROJECT_LOCKED", "Goal, model and period stand once submitted.", ["input"])
            await _check_category(tx, draft.category_id)
            if draft.currency != row.currency and await _has_rewards(tx, project_id):
                problem = f"Its rewards have prices in {row.currency}: delete them first."
                raise Rejected("INVALID", problem, ["input", "currencyCode"])
            columns = _columns(draft)
            await _set(tx, project_id, **columns)
            if changed := changed_parts(row, columns):
                await tell_backers(tx, row, News.UPDATED, changed=changed)

        await self._commit(work, project_id)

    async def submit(self, creator_id: str, project_id: str) -> None:
        """Ask for review. Raises Rejected."""

        async def work(tx: AsyncConnection) -> None:
            row = await own_project(tx, creator_id, project_id)
            if row.status == ProjectStatus.IN_REVIEW.value:
                return
            _require(row, ProjectStatus.IN_REVIEW)
            problem = period_problem(Period(row.opens_at, row.closes_at), self._now(), self._longest_days)
            if problem:
                raise Rejected("INVALID", problem, ["id"])
            await _set(tx, project_id, status=ProjectStatus.IN_REVIEW.value, review_reason=None)

        await self._commit(work, project_id)

    async def review(self, project_id: str, approve: bool, reason: str | None) -> None:
        """Publish a project or send it back with a reason. Raises Rejected."""
        if not approve and not (reason and reason.strip()):
            raise Rejected("REQUIRED", "Say why.", ["reason"])
        if reason is not None and (problem := text_problem(reason, 500)):
            raise Rejected("INVALID", problem, ["reason"])

        async def work(tx: AsyncConnection) -> None:
            row = await lock_project(tx, project_id)
            if row is None:
                raise Rejected("NOT_FOUND", "No such project.", ["id"])
            now = self._now()
            if not approve:
                _require(row, ProjectStatus.REJECTED)
                await _set(tx, project_id, status=ProjectStatus.REJECTED.value, review_reason=reason)
                return
            if row.status != ProjectStatus.IN_REVIEW.value:
                raise Rejected("PROJECT_LOCKED", f"A project that is {row.status} is not in review.", ["id"])
            status = opening_status(row.opens_at, now)
            if row.closes_at <= now:
                raise Rejected("INVALID", "Its period is over: send it back for a new one.", ["id"])
            await _set(tx, project_id, status=status.value, published_at=now)

        await self._commit(work, project_id)

    async def cancel(self, creator_id: str, project_id: str, reason: str) -> None:
        """End a project before its deadline; its pledges are released. Again is nothing. Raises Rejected."""
        if problem := text_problem(reason, 500):
            raise Rejected("INVALID", problem, ["reason"])

        async def work(tx: AsyncConnection) -> None:
            row = await own_project(tx, creator_id, project_id)
            if row.status == ProjectStatus.CANCELED.value:
                return
            if not may_become(ProjectStatus(row.status), ProjectStatus.CANCELED):
                raise Rejected("PROJECT_LOCKED", f"A project that is {row.status} cannot be cancelled.", ["id"])
            await _set(tx, project_id, status=ProjectStatus.CANCELED.value, cancel_reason=reason)
            await tell_backers(tx, row, News.CANCELED, reason=reason)
            await _release_pledges(tx, project_id)

        await self._commit(work, project_id)

    async def reward_create(self, creator_id: str, project_id: str, draft: RewardDraft) -> str:
        """A new reward; its id. Raises Rejected."""
        _check_reward(draft)

        async def work(tx: AsyncConnection) -> str:
            row = await own_project(tx, creator_id, project_id)
            if ProjectStatus(row.status) not in TEXT_EDITABLE:
                raise Rejected("PROJECT_LOCKED", f"A project that is {row.status} gets no more rewards.", ["projectId"])
            held = select(func.count()).select_from(rewards).where(rewards.c.project_id == project_id)
            if (await tx.execute(held)).scalar_one() >= 50:
                raise Rejected("INVALID", "A project has 50 rewards at most.", ["projectId"])
            reward_id = new_ulid()
            await tx.execute(insert(rewards), _reward_columns(draft) | {"id": reward_id, "project_id": project_id})
            return reward_id

        return str(await self._commit(work, project_id))

    async def reward_update(self, creator_id: str, reward_id: str, draft: RewardDraft) -> None:
        """Change a reward; what somebody has pledged for keeps its price and can't shrink below. Raises Rejected."""
        _check_reward(draft)

        async def work(tx: AsyncConnection) -> None:
            row = await _own_reward(tx, creator_id, reward_id)
            if row.claimed and draft.minimum_amount != row.minimum_amount:
                raise Rejected("REWARD_HAS_PLEDGES", "Its price stands: somebody pledged for it.", ["input"])
            if row.claimed and draft.shipping_required and not row.shipping_required:
                raise Rejected("REWARD_HAS_PLEDGES", "Its backers gave no address.", ["input", "shippingRequired"])
            enough = draft.total_quantity is None or draft.total_quantity >= row.claimed
            if not enough:
                raise Rejected("REWARD_HAS_PLEDGES", f"{row.claimed} are promised already.", ["input", "totalQuantity"])
            columns = _reward_columns(draft)
            await tx.execute(update(rewards).where(rewards.c.id == reward_id).values(**columns))
            if any(getattr(row, name) != value for name, value in columns.items()):
                project = await own_project(tx, creator_id, row.project_id)
                await tell_backers(tx, project, News.UPDATED, changed=["rewards"])
            await record(tx, outbox, SOURCE, [ProjectChanged(project_id=row.project_id)])

        await self._database.run(work)
        self._wake_relay()

    async def reward_delete(self, creator_id: str, reward_id: str) -> str:
        """Delete a reward that nobody ever pledged for; its project's id. Raises Rejected."""

        async def work(tx: AsyncConnection) -> str:
            row = await _own_reward(tx, creator_id, reward_id)
            ever = select(func.count()).select_from(pledges).where(pledges.c.reward_id == reward_id)
            if (await tx.execute(ever)).scalar_one():
                raise Rejected("REWARD_HAS_PLEDGES", "Somebody pledged for it.", ["id"])
            await tx.execute(rewards.delete().where(rewards.c.id == reward_id))
            await record(tx, outbox, SOURCE, [ProjectChanged(project_id=row.project_id)])
            return str(row.project_id)

        project_id = await self._database.run(work)
        self._wake_relay()
        return project_id

    async def post(self, creator_id: str, project_id: str, title: str, body: str, audience: PostAudience) -> str:
        """Tell everybody, or the backers, how it goes; the post's id. Raises Rejected."""
        for text, limit, field in ((title, 200, "title"), (body, 20_000, "body")):
            if problem := text_problem(text, limit):
                raise Rejected("INVALID", problem, [field])

        async def work(tx: AsyncConnection) -> str:
            row = await own_project(tx, creator_id, project_id)
            if row.published_at is None:
                raise Rejected("PROJECT_NOT_OPEN", "Nobody sees this project yet.", ["projectId"])
            post_id = new_ulid()
            values = {
                "id": post_id,
                "project_id": project_id,
                "title": title,
                "body": body,
                "audience": audience.value,
                "published_at": self._now(),
            }
            await tx.execute(insert(posts), values)
            return post_id

        return str(await self._commit(work, project_id))

    async def sweep(self) -> int:
        """Open what is due to open and give the verdict on what is due to close; how many projects moved on."""
        now = self._now()
        due_open = select(projects.c.id).where(projects.c.status == "SCHEDULED", projects.c.opens_at <= now)
        due_close = select(projects.c.id).where(projects.c.status == "OPEN", projects.c.closes_at <= now)
        async with self._database.read() as connection:
            opening = list((await connection.execute(due_open.limit(100))).scalars())
            closing = list((await connection.execute(due_close.limit(100))).scalars())
        for project_id in opening:
            await self._commit(partial(_open, project_id), project_id)
        for project_id in closing:
            await self._commit(partial(_close, project_id, now), project_id)
            failpoint("funding.verdict.after_commit")
        return len(opening) + len(closing)

    def _check(self, draft: ProjectDraft) -> None:
        self._check_texts(draft)
        wrong = []
        if not 1 <= draft.goal_amount <= MAX_AMOUNT:
            wrong.append(Rejected("INVALID", "Not a goal that can be reached.", ["input", "goalAmount"]))
        problem = period_problem(Period(draft.opens_at, draft.closes_at), self._now(), self._longest_days)
        if problem:
            wrong.append(Rejected("INVALID", problem, ["input", "closesAt"]))
        if wrong:
            raise RejectedTogether(wrong)

    def _check_texts(self, draft: ProjectDraft) -> None:
        limits = [("title", draft.title, 100), ("story", draft.story, 50_000)]
        if draft.summary is not None:
            limits.append(("summary", draft.summary, 300))
        found = [(field, text_problem(text, limit)) for field, text, limit in limits]
        wrong = [Rejected("INVALID", problem, ["input", field]) for field, problem in found if problem]
        if wrong:
            raise RejectedTogether(wrong)

    async def _commit(self, work: Work, project_id: str) -> Any:
        async def told(tx: AsyncConnection) -> Any:
            result = await work(tx)
            await record(tx, outbox, SOURCE, [ProjectChanged(project_id=project_id)])
            return result

        result = await self._database.run(told)
        self._wake_relay()
        await self._changes.tell(f"project:{project_id}")
        return result


async def lock_project(tx: AsyncConnection, project_id: str | None) -> Row[Any] | None:
    return (await tx.execute(select(projects).where(projects.c.id == project_id).with_for_update())).first()


async def own_project(tx: AsyncConnection, creator_id: str, project_id: str) -> Row[Any]:
    """The creator's own project, locked. Raises Rejected NOT_FOUND: also for one that others must not know of."""
    row = await lock_project(tx, project_id)
    if row is None or row.creator_id != creator_id:
        raise Rejected("NOT_FOUND", "You have no such project.", ["id"])
    return row


def may_see(row: Row[Any], who: Identity) -> bool:
    """Published projects are everybody's to see; others their creator's and the reviewers'."""
    if row.published_at is not None and ProjectStatus(row.status) in PUBLIC:
        return True
    return row.creator_id == who.user_id or "projects:review" in who.scopes


def _require(row: Row[Any], then: ProjectStatus) -> None:
    if not may_become(ProjectStatus(row.status), then):
        raise Rejected("PROJECT_LOCKED", f"A project that is {row.status} cannot become {then.value}.", ["id"])


def _columns(draft: ProjectDraft) -> dict[str, Any]:
    return _terms(draft) | {
        "title": draft.title.strip(),
        "summary": draft.summary,
        "story": draft.story,
        "category_id": draft.category_id,
        "search_text": folded(" ".join((draft.title, draft.summary or "", draft.story[:2000]))),
    }


def _terms(draft: ProjectDraft) -> dict[str, Any]:
    """What backers rely on."""
    return {
        "goal_amount": draft.goal_amount,
        "currency": draft.currency,
        "funding_model": draft.funding_model.value,
        "opens_at": draft.opens_at,
        "closes_at": draft.closes_at,
    }


def _terms_of(row: Row[Any]) -> dict[str, Any]:
    names = ("goal_amount", "currency", "funding_model", "opens_at", "closes_at")
    return {name: getattr(row, name) for name in names}


async def _has_rewards(tx: AsyncConnection, project_id: str) -> bool:
    query = select(rewards.c.id).where(rewards.c.project_id == project_id).limit(1)
    return (await tx.execute(query)).first() is not None


async def _check_category(tx: AsyncConnection, category_id: str) -> None:
    if (await tx.execute(select(categories.c.id).where(categories.c.id == category_id))).first() is None:
        raise Rejected("NOT_FOUND", "No such category.", ["input", "categoryId"])


async def _set(tx: AsyncConnection, project_id: str, **values: Any) -> None:
    statement = update(projects).where(projects.c.id == project_id)
    await tx.execute(statement.values(version=projects.c.version + 1, **values))


def _check_reward(draft: RewardDraft) -> None:
    wrong = []
    for field, text, limit in (("title", draft.title, 100), ("description", draft.description, 2000)):
        if problem := text_problem(text, limit):
            wrong.append(Rejected("INVALID", problem, ["input", field]))
    if not 1 <= draft.minimum_amount <= MAX_AMOUNT:
        wrong.append(Rejected("INVALID", "Not an amount that can be pledged.", ["input", "minimumAmount"]))
    if draft.total_quantity is not None and not 1 <= draft.total_quantity <= 1_000_000:
        wrong.append(Rejected("INVALID", "1 to 1,000,000 units.", ["input", "totalQuantity"]))
    if wrong:
        raise RejectedTogether(wrong)


def _reward_columns(draft: RewardDraft) -> dict[str, Any]:
    names = (
        "title",
        "description",
        "minimum_amount",
        "estimated_delivery_on",
        "total_quantity",
        "shipping_required",
    )
    return {name: getattr(draft, name) for name in names}


async def _own_reward(tx: AsyncConnection, creator_id: str, reward_id: str) -> Row[Any]:
    """A reward of the creator's own project, locked with it. Raises Rejected."""
    owner = select(rewards.c.project_id).where(rewards.c.id == reward_id)
    project = await lock_project(tx, (await tx.execute(owner)).scalar_one_or_none())
    row = (await tx.execute(select(rewards).where(rewards.c.id == reward_id).with_for_update())).first()
    if row is None or project is None or project.creator_id != creator_id:
        raise Rejected("NOT_FOUND", "You have no such reward.", ["id"])
    if ProjectStatus(project.status) not in TEXT_EDITABLE:
        raise Rejected("PROJECT_LOCKED", f"A project that is {project.status} stays as it is.", ["id"])
    return row


async def _open(project_id: str, tx: AsyncConnection) -> None:
    changed = update(projects).where(projects.c.id == project_id, projects.c.status == "SCHEDULED")
    await tx.execute(changed.values(status="OPEN", version=projects.c.version + 1))


async def _close(project_id: str, now: datetime, tx: AsyncConnection) -> None:
    """The verdict, once: the project is locked, so no pledge can slip in behind the count."""
    row = await lock_project(tx, project_id)
    if row is None or row.status != "OPEN" or row.closes_at > now:
        return
    outcome = verdict(FundingModel(row.funding_model), row.pledged_amount, row.goal_amount)
    await _set(tx, project_id, status=outcome.value)
    if outcome is ProjectStatus.FAILED:
        await tell_backers(tx, row, News.FAILED)
        await _release_pledges(tx, project_id)


async def _release_pledges(tx: AsyncConnection, project_id: str) -> None:
    """The promises are void: nobody is charged. The project's figures keep saying how far it came."""
    live = (pledges.c.project_id == project_id) & (pledges.c.status == PledgeStatus.RESERVED.value)
    query = select(pledges).where(live).order_by(pledges.c.id).with_for_update()
    gone = [dict(row) for row in (await tx.execute(query)).mappings()]
    if not gone:
        return
    # The same condition and not their ids: there may be more than a statement takes, and the project is held.
    await tx.execute(
        update(pledges).where(live).values(status=PledgeStatus.RELEASED.value, version=pledges.c.version + 1)
    )
    await give_back(tx, gone)
    await record(tx, outbox, SOURCE, [_released(row) for row in gone])


def _released(row: dict[str, Any]) -> EventData:
    return PledgeCanceled(
        pledge_id=row["id"], version=row["version"] + 1, project_id=row["project_id"], backer_id=row["backer_id"]
    )
