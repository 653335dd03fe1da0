"""Our payments held against the provider's transactions. A difference is looked into by asking, never by charging."""

from __future__ import annotations

import asyncio
import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.kit.workers import repeat
from subgraphs.payments.domain import IN_FLIGHT, PaymentStatus, RefundStatus
from subgraphs.payments.models import payments, refunds
from subgraphs.payments.provider import Provider
from subgraphs.payments.settings import Settings

log = structlog.get_logger(__name__)

CHUNK = 500
OVERLAP = 3
"""Each transaction is looked at so many times: one that was under way is seen again."""
FIRST_AFTER_SECONDS = 600.0
"""From the start of the process, whose end comes sooner than the next time if it is deployed anew each day: what was
under way when the last one ended is settled by then."""
AHEAD = timedelta(minutes=1)
"""How far the provider's clock may be ahead of ours."""


class DifferenceKind(enum.Enum):
    UNKNOWN_HERE = "UNKNOWN_HERE"
    """The provider has money for an order number that no payment here has."""
    MISSING_HERE = "MISSING_HERE"
    """The provider has money for a payment that took none here."""
    MISSING_THERE = "MISSING_THERE"
    """A payment here says paid, and the provider has nothing."""
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"


@dataclass(frozen=True, slots=True)
class Difference:
    """Net amounts (captured less refunded, minor units) of one order number, by our books and by the provider's."""

    kind: DifferenceKind
    order_number: str
    here: int
    there: int

    def __str__(self) -> str:
        return f"order {self.order_number}: {self.here} here, {self.there} at the provider ({self.kind.value})"


class Reconciler:
    """``ask`` wakes those who ask the provider how payments stand."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        now: Callable[[], datetime],
        ask: Callable[[], None],
        settings: Settings,
    ) -> None:
        self._database = database
        self._provider = provider
        self._now = now
        self._ask = ask
        self._every = timedelta(hours=settings.reconcile_hours)

    async def run(self) -> None:
        """Reconcile soon, then each time the hours set have passed, until cancelled."""
        every = self._every.total_seconds()
        await asyncio.sleep(min(every, FIRST_AFTER_SECONDS))
        await repeat("payments.reconciler", self.reconcile, every=every)

    async def reconcile(self) -> list[Difference]:
        """Compare, and have the provider asked about each payment that differs.

        Raises NoAnswer or ProviderError when the provider's transactions cannot be read.
        """
        now = self._now()
        async with self._database.read() as connection:
            differences = await compare(self._provider, connection, now - OVERLAP * self._every, now + AHEAD)
        for each in differences:
            log.error(
                "payments.difference", kind=each.kind.value, order=each.order_number, here=each.here, there=each.there
            )
        await self._database.run(lambda tx: self._look_into(tx, [each.order_number for each in differences], now))
        return list(differences)

    async def _look_into(self, tx: AsyncConnection, numbers: Sequence[str], now: datetime) -> None:
        # What is to be charged is in a worker's hands already, and asks by itself.
        waits = payments.c.status != PaymentStatus.READY.value
        for first in range(0, len(numbers), CHUNK):
            mine = payments.c.provider_order_id.in_(numbers[first : first + CHUNK])
            await tx.execute(update(payments).where(mine, waits).values(attend_at=now))
        self._ask()


async def compare(
    provider: Provider, connection: AsyncConnection, start: datetime, end: datetime
) -> Sequence[Difference]:
    """The differences of all that happened between two instants.

    What is under way between the two is not a difference: payments without an outcome and pending refunds are left
    out. Raises NoAnswer or ProviderError when the provider cannot be asked.
    """
    theirs: dict[str, int] = defaultdict(int)
    for transaction in await provider.transactions(start, end):
        theirs[transaction.order_id] += transaction.net
    ours, unsettled = await _ours(connection, provider.name, start)
    older = await _known(connection, provider.name, theirs.keys() - ours.keys())
    found = []
    for number in sorted((ours.keys() | theirs.keys()) - unsettled - older):
        here, there = ours.get(number, 0), theirs.get(number, 0)
        if here != there:
            found.append(Difference(_difference(number in ours, here, there), number, here, there))
    return found


def _difference(known: bool, here: int, there: int) -> DifferenceKind:
    if not known:
        return DifferenceKind.UNKNOWN_HERE
    if not here:
        return DifferenceKind.MISSING_HERE
    return DifferenceKind.AMOUNT_DIFFERS if there else DifferenceKind.MISSING_THERE


async def _ours(connection: AsyncConnection, provider: str, start: datetime) -> tuple[dict[str, int], set[str]]:
    """What each order since ``start`` paid net to the provider by our books; and those whose outcome is open."""
    pending = select(refunds.c.payment_id).where(refunds.c.status == RefundStatus.PENDING.value)
    open_ = or_(payments.c.status.in_([each.value for each in IN_FLIGHT]), payments.c.id.in_(pending))
    query = select(
        payments.c.provider_order_id,
        (payments.c.captured - payments.c.refunded).label("net"),
        case((open_, 1), else_=0).label("open"),
    ).where(payments.c.created_at >= start, payments.c.provider == provider)
    rows = (await connection.execute(query)).all()
    return {row.provider_order_id: row.net for row in rows}, {row.provider_order_id for row in rows if row.open}


async def _known(connection: AsyncConnection, provider: str, numbers: Iterable[str]) -> set[str]:
    """Those of the order numbers that a payment of any age, to this provider, has."""
    wanted, known = sorted(numbers), set[str]()
    for first in range(0, len(wanted), CHUNK):
        query = select(payments.c.provider_order_id).where(payments.c.provider == provider)
        query = query.where(payments.c.provider_order_id.in_(wanted[first : first + CHUNK]))
        known.update((await connection.execute(query)).scalars())
    return known
