"""Backing a project: set-based, for a sequence of pledges that share one transaction.

A limited reward's units are taken by a conditional update, so that the last one is promised once however many ask in
however many processes; the audit's sums rest on the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.batching import GroupCommit
from db.failpoints import failpoint
from db.session import Database
from messaging.events import EventData
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.outbox import record
from subgraphs.funding.domain import (
    MAX_AMOUNT,
    MAX_QUANTITY,
    PledgeStatus,
    ProjectStatus,
    pledge_total,
    takes_pledges,
    text_problem,
)
from subgraphs.funding.models import (
    address_copies,
    idempotency,
    outbox,
    payment_method_copies,
    pledges,
    projects,
    rewards,
    user_copies,
)
from subgraphs.kit.changes import Changes
from subgraphs.kit.copies import when_complete
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request, answer, claim
from subgraphs.kit.ids import new_ulid

SOURCE = "/dure/funding"
RECENT = 86_400
"""Seconds in which the weight of a new pledge grows by one: a backer of today counts a little more than yesterday's."""


@dataclass(frozen=True, slots=True)
class NewPledge:
    """A backer's wish. ``request`` is its idempotency key."""

    backer_id: str
    project_id: str
    reward_id: str | None
    quantity: int
    additional_amount: int
    payment_method_id: str | None
    address_id: str | None
    request: Request


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the backers and what they named, by id."""

    backers: dict[str, Row[Any]]
    methods: dict[str, Row[Any]]
    addresses: dict[str, Row[Any]]


class Pledging:
    """Creates and cancels pledges. Concurrent pledges share transactions."""

    def __init__(
        self, database: Database, changes: Changes, wake_relay: Callable[[], None], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._changes = changes
        self._wake_relay = wake_relay
        self._now = now
        self._together = GroupCommit(self.pledge_create)

    async def create(self, wish: NewPledge) -> str:
        """The new pledge's id. Raises Rejected, with nothing written."""
        _check_numbers(wish)
        await self._wait_for_copies(wish)
        pledge_id = await self._together.submit(wish)
        failpoint("funding.pledge.after_commit")
        self._wake_relay()
        await self._changes.tell(f"project:{wish.project_id}")
        return pledge_id

    async def pledge_create(self, wishes: Sequence[NewPledge]) -> list[str | Exception]:
        """For each wish the new pledge's id, or why there is none; all in one transaction."""

        async def work(tx: AsyncConnection) -> list[str | Exception]:
            results = await _create(tx, wishes, self._now())
            failpoint("funding.pledge.before_commit")
            return results

        return await self._database.run(work)

    async def cancel(self, backer_id: str, pledge_id: str, reason: str | None) -> None:
        """Take a pledge back while its project is open; again is nothing. Raises Rejected."""
        if reason is not None and (problem := text_problem(reason, 500)):
            raise Rejected("INVALID", problem, ["reason"])
        project_id = await self._database.run(lambda tx: _cancel(tx, backer_id, pledge_id, reason, self._now()))
        self._wake_relay()
        await self._changes.tell(f"project:{project_id}")

    async def change_method(self, backer_id: str, pledge_id: str, method_id: str) -> None:
        """Pay with another method when the time comes. Raises Rejected."""
        await self._wait_for_methods([method_id])
        await self._database.run(lambda tx: _change_method(tx, backer_id, pledge_id, method_id))
        self._wake_relay()

    async def _wait_for_copies(self, wish: NewPledge) -> None:
        """Give news of a method or an address made a moment ago the time to arrive."""
        await self._wait_for_methods([wish.payment_method_id] if wish.payment_method_id else [])
        if wish.address_id:
            table, wanted = address_copies, wish.address_id

            async def look() -> bool:
                async with self._database.read() as connection:
                    query = select(table.c.address_id).where(table.c.address_id == wanted)
                    return (await connection.execute(query)).first() is not None

            await when_complete(look, lambda found: [] if found else [wanted])
        await when_complete(
            lambda: self._is_verified(wish.backer_id), lambda verified: [] if verified else [wish.backer_id]
        )

    async def _is_verified(self, user_id: str) -> bool:
        async with self._database.read() as connection:
            query = select(user_copies.c.email_verified).where(user_copies.c.user_id == user_id)
            return bool((await connection.execute(query)).scalar_one_or_none())

    async def _wait_for_methods(self, method_ids: Sequence[str]) -> None:
        table = payment_method_copies

        async def look() -> set[str]:
            async with self._database.read() as connection:
                query = select(table.c.payment_method_id).where(table.c.payment_method_id.in_(method_ids))
                return set((await connection.execute(query)).scalars())

        if method_ids:
            await when_complete(look, lambda found: [each for each in method_ids if each not in found])


def _check_numbers(wish: NewPledge) -> None:
    if not 1 <= wish.quantity <= MAX_QUANTITY:
        raise Rejected("INVALID", f"1 to {MAX_QUANTITY} units.", ["input", "quantity"])
    if not 0 <= wish.additional_amount <= MAX_AMOUNT:
        raise Rejected("INVALID", "Not an amount that can be given.", ["input", "additionalAmount"])


async def _create(tx: AsyncConnection, wishes: Sequence[NewPledge], now: datetime) -> list[str | Exception]:
    earlier = await claim(tx, idempotency, [wish.request for wish in wishes])
    facts = await _facts(tx, wishes)
    open_projects = await _lock_projects(tx, [wish.project_id for wish in wishes])
    known_rewards = await _rewards(tx, [wish.reward_id for wish in wishes if wish.reward_id])
    results: list[str | Exception] = []
    made: list[tuple[NewPledge, dict[str, Any]]] = []
    for wish, before in zip(wishes, earlier, strict=True):
        if before is not None:
            results.append(before)
            continue
        try:
            row = await _one(tx, wish, facts, open_projects, known_rewards, now)
        except Rejected as refused:
            await _forget_key(tx, wish.request)
            results.append(refused)
            continue
        made.append((wish, row))
        results.append(row["id"])
    await _write(tx, made, now)
    return results


async def _one(
    tx: AsyncConnection,
    wish: NewPledge,
    facts: Facts,
    open_projects: dict[str, Row[Any]],
    known_rewards: dict[str, Row[Any]],
    now: datetime,
) -> dict[str, Any]:
    """The row of one pledge, its reward's units taken. Raises Rejected with nothing taken."""
    project = open_projects.get(wish.project_id)
    if project is None or project.published_at is None:
        raise Rejected("NOT_FOUND", "No such project.", ["input", "projectId"])
    if not takes_pledges(ProjectStatus(project.status), project.closes_at, now):
        raise Rejected("PROJECT_NOT_OPEN", "This project takes no pledges now.", ["input", "projectId"])
    reward = known_rewards.get(wish.reward_id) if wish.reward_id else None
    if wish.reward_id and (reward is None or reward.project_id != project.id):
        raise Rejected("NOT_FOUND", "This project has no such reward.", ["input", "rewardId"])
    _check_backer(wish, facts, reward)
    total = pledge_total(reward.minimum_amount if reward else 0, wish.quantity, wish.additional_amount)
    if total < 1:
        raise Rejected(
            "AMOUNT_BELOW_MINIMUM", "A pledge without a reward gives an amount.", ["input", "additionalAmount"]
        )
    if reward and not await take_units(tx, reward.id, wish.quantity):
        raise Rejected("REWARD_SOLD_OUT", "There are not so many of this reward left.", ["input", "rewardId"])
    return {
        "id": new_ulid(),
        "version": 1,
        "project_id": project.id,
        "reward_id": wish.reward_id,
        "backer_id": wish.backer_id,
        "quantity": wish.quantity,
        "additional_amount": wish.additional_amount,
        "total": total,
        "currency": project.currency,
        "status": PledgeStatus.RESERVED.value,
        "payment_method_id": wish.payment_method_id,
        "shipping_address_id": wish.address_id if reward and reward.shipping_required else None,
        "created_at": now,
    }


def _check_backer(wish: NewPledge, facts: Facts, reward: Row[Any] | None) -> None:
    backer = facts.backers.get(wish.backer_id)
    if backer is None or not backer.email_verified:
        raise Rejected("NOT_ALLOWED", "Verify your e-mail address first.")
    if wish.payment_method_id is None:
        raise Rejected("REQUIRED", "Choose how to pay when the project succeeds.", ["input", "paymentMethodId"])
    method = facts.methods.get(wish.payment_method_id)
    if method is None or method.user_id != wish.backer_id or method.status != "ACTIVE":
        raise Rejected("NOT_FOUND", "You have no such payment method.", ["input", "paymentMethodId"])
    if reward is None or not reward.shipping_required:
        return
    if wish.address_id is None:
        raise Rejected("REQUIRED", "This reward is sent to you: choose an address.", ["input", "addressId"])
    address = facts.addresses.get(wish.address_id)
    if address is None or address.user_id != wish.backer_id or address.deleted:
        raise Rejected("NOT_FOUND", "You have no such address.", ["input", "addressId"])


async def take_units(tx: AsyncConnection, reward_id: str, quantity: int, *, guarded: bool = True) -> bool:
    """Take units of a reward if there are so many left. Without its guard it oversells: a test shows that."""
    enough = or_(rewards.c.total_quantity.is_(None), rewards.c.claimed + quantity <= rewards.c.total_quantity)
    statement = update(rewards).where(rewards.c.id == reward_id).values(claimed=rewards.c.claimed + quantity)
    result = await tx.execute(statement.where(enough) if guarded else statement)
    return result.rowcount == 1


async def _forget_key(tx: AsyncConnection, request: Request) -> None:
    """A refused command leaves no trace of its key, though others of its transaction go on."""
    table = idempotency
    await tx.execute(table.delete().where(table.c.scope == request.scope, table.c.key == request.key))


async def _write(tx: AsyncConnection, made: Sequence[tuple[NewPledge, dict[str, Any]]], now: datetime) -> None:
    if not made:
        return
    rows = [row for _, row in made]
    await tx.execute(insert(pledges), rows)
    for project_id in sorted({row["project_id"] for row in rows}):
        own = [row for row in rows if row["project_id"] == project_id]
        await _add(tx, project_id, sum(row["total"] for row in own), len(own), now)
    await answer(tx, idempotency, [(wish.request, row["id"]) for wish, row in made])
    await record(tx, outbox, SOURCE, [reserved(row) for row in rows])


async def _add(tx: AsyncConnection, project_id: str, amount: int, backers: int, now: datetime) -> None:
    await tx.execute(
        update(projects)
        .where(projects.c.id == project_id)
        .values(
            pledged_amount=projects.c.pledged_amount + amount,
            backer_count=projects.c.backer_count + backers,
            popularity=projects.c.popularity + _weight(now) * backers,
        )
    )


def _weight(pledged_at: datetime) -> int:
    return int(pledged_at.timestamp()) // RECENT


def reserved(row: Any) -> EventData:
    """PledgeReserved for a pledge's row (a mapping)."""
    return PledgeReserved(
        pledge_id=row["id"],
        version=row["version"],
        project_id=row["project_id"],
        backer_id=row["backer_id"],
        total=row["total"],
        currency=row["currency"],
        payment_method_id=row["payment_method_id"],
        shipping_address_id=row["shipping_address_id"],
    )


async def _facts(tx: AsyncConnection, wishes: Sequence[NewPledge]) -> Facts:
    return Facts(
        backers=await _by_id(tx, user_copies, [wish.backer_id for wish in wishes]),
        methods=await _by_id(tx, payment_method_copies, [wish.payment_method_id for wish in wishes]),
        addresses=await _by_id(tx, address_copies, [wish.address_id for wish in wishes]),
    )


async def _by_id(tx: AsyncConnection, table: Any, ids: Sequence[str | None]) -> dict[str, Row[Any]]:
    wanted = {each for each in ids if each}
    if not wanted:
        return {}
    (key,) = table.primary_key.columns
    return {row[0]: row for row in await tx.execute(select(table).where(key.in_(wanted)))}


async def _lock_projects(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The projects, held until the commit: a deadline's verdict waits for these pledges, or they for the verdict."""
    query = select(projects).where(projects.c.id.in_(set(ids))).order_by(projects.c.id).with_for_update()
    return {row.id: row for row in await tx.execute(query)}


async def _rewards(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Row[Any]]:
    if not ids:
        return {}
    return {row.id: row for row in await tx.execute(select(rewards).where(rewards.c.id.in_(set(ids))))}


async def _cancel(tx: AsyncConnection, backer_id: str, pledge_id: str, reason: str | None, now: datetime) -> str:
    project_id = str((await _own_pledge(tx, backer_id, pledge_id))["project_id"])
    # The project first, then what hangs on it, as everywhere: so that nobody waits in a circle.
    project = (await _lock_projects(tx, [project_id]))[project_id]
    pledge = await _own_pledge(tx, backer_id, pledge_id, lock=True)
    if pledge["status"] == PledgeStatus.CANCELED.value:
        return project_id
    if not takes_pledges(ProjectStatus(project.status), project.closes_at, now):
        raise Rejected("PLEDGE_NOT_CANCELABLE", "The project has closed.", ["id"])
    changed = await tx.execute(
        update(pledges)
        .where(pledges.c.id == pledge_id, pledges.c.status == PledgeStatus.RESERVED.value)
        .values(
            status=PledgeStatus.CANCELED.value,
            canceled_at=now,
            cancel_reason=reason,
            version=pledges.c.version + 1,
        )
    )
    if changed.rowcount == 0:
        raise Rejected("PLEDGE_NOT_CANCELABLE", "This pledge cannot be taken back any more.", ["id"])
    less = {
        "pledged_amount": projects.c.pledged_amount - pledge["total"],
        "backer_count": projects.c.backer_count - 1,
        "popularity": projects.c.popularity - _weight(pledge["created_at"]),
    }
    await tx.execute(update(projects).where(projects.c.id == project_id).values(**less))
    await give_back(tx, [pledge])
    gone = PledgeCanceled(
        pledge_id=pledge_id, version=pledge["version"] + 1, project_id=project_id, backer_id=backer_id
    )
    await record(tx, outbox, SOURCE, [gone])
    return project_id


async def give_back(tx: AsyncConnection, gone: Sequence[Any]) -> None:
    """Free the reward units of pledges (mappings) that no longer stand."""
    units: Counter[str] = Counter()
    for pledge in gone:
        if pledge["reward_id"]:
            units[pledge["reward_id"]] += pledge["quantity"]
    if units:
        statement = update(rewards).where(rewards.c.id == bindparam("b_id"))
        given = [{"b_id": reward_id, "b_quantity": units[reward_id]} for reward_id in sorted(units)]
        await tx.execute(statement.values(claimed=rewards.c.claimed - bindparam("b_quantity")), given)


async def _change_method(tx: AsyncConnection, backer_id: str, pledge_id: str, method_id: str) -> None:
    pledge = await _own_pledge(tx, backer_id, pledge_id, lock=True)
    methods = await _by_id(tx, payment_method_copies, [method_id])
    method = methods.get(method_id)
    if method is None or method.user_id != backer_id or method.status != "ACTIVE":
        raise Rejected("NOT_FOUND", "You have no such payment method.", ["paymentMethodId"])
    if pledge["status"] not in (PledgeStatus.RESERVED.value, PledgeStatus.COLLECTION_FAILED.value):
        raise Rejected("PLEDGE_NOT_CANCELABLE", "This pledge can no longer be changed.", ["id"])
    if pledge["payment_method_id"] == method_id:
        return
    changed = {**pledge, "payment_method_id": method_id, "version": pledge["version"] + 1}
    await tx.execute(
        update(pledges).where(pledges.c.id == pledge_id).values(payment_method_id=method_id, version=changed["version"])
    )
    await record(tx, outbox, SOURCE, [reserved(changed)])


async def _own_pledge(tx: AsyncConnection, backer_id: str, pledge_id: str, *, lock: bool = False) -> dict[str, Any]:
    query = select(pledges).where(pledges.c.id == pledge_id, pledges.c.backer_id == backer_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).mappings().first()
    if row is None:
        raise Rejected("NOT_FOUND", "You have no such pledge.", ["id"])
    return dict(row)
