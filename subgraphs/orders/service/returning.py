"""What the API asks of returns: each command in its transaction, then the news of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.subgraph import Runtime
from subgraphs.orders import models
from subgraphs.orders.domain.returns import ReturnReason
from subgraphs.orders.service import refusals, returns
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.refusals import Settlement
from subgraphs.orders.service.returns import Units
from subgraphs.orders.service.saga import Outcome
from subgraphs.orders.settings import Settings

MAX_NOTE = 500


class Returning:
    """``wake`` is called after each commit that recorded events: it wakes the relay."""

    def __init__(self, runtime: Runtime, settings: Settings, live: Live, wake: Callable[[], None]) -> None:
        self._database = runtime.database
        self._now = runtime.now
        self._settings = settings
        self._live = live
        self._wake = wake

    async def request(
        self,
        buyer_id: str,
        order_id: str,
        units: Units,
        reason: ReturnReason,
        note: str | None,
        request: idempotency.Request,
    ) -> str:
        """The id of the new return, or of the earlier one that this command repeats. Raises Rejected."""
        text, fee, now = check_note(note), self._settings.return_fee, self._now()

        async def work(tx: AsyncConnection) -> str:
            earlier = await idempotency.claim_one(tx, models.idempotency, request)
            if earlier is not None:
                return str(earlier)
            return_id = await returns.request(tx, buyer_id, order_id, units, reason, text, fee, now)
            await idempotency.answer(tx, models.idempotency, [(request, return_id)])
            failpoint("orders.return.before_commit")
            return return_id

        return_id = await self._database.run(work)
        self._wake()
        self._live.tell(Outcome(changed={order_id}))
        return return_id

    async def decide(self, who: Identity, return_id: str, approve: bool, note: str | None) -> None:
        """The seller's word. Raises Rejected."""
        text = check_note(note)
        await self._change(lambda tx, now: returns.decide(tx, who, return_id, approve, text, now))

    async def cancel(self, buyer_id: str, return_id: str) -> None:
        """The buyer keeps the goods. Raises Rejected."""
        await self._change(lambda tx, _: returns.cancel(tx, buyer_id, return_id))

    async def receive(self, who: Identity, return_id: str, units: Units, restock: bool) -> None:
        """The goods are back: refund them. Raises Rejected."""
        again = self._settings.ask_again_after
        await self._change(
            lambda tx, now: returns.receive(tx, who, return_id, units, restock, now, ask_again_after=again)
        )
        failpoint("orders.return.after_commit")

    async def settle(self, who: Identity, return_id: str, amount: Decimal, already: bool, note: str) -> None:
        """An operator's word on a refund that was refused. Raises Rejected."""
        operator, text = who.require_user(), check_note(note)
        if text is None:
            raise Rejected("REQUIRED", "Say why.", ["note"])
        given, again = Settlement(amount, already, text), self._settings.ask_again_after
        await self._change(lambda tx, now: refusals.settle(tx, operator, return_id, given, now, ask_again_after=again))

    async def _change(self, work: Callable[[AsyncConnection, datetime], Awaitable[Outcome]]) -> None:
        now = self._now()
        outcome = await self._database.run(lambda tx: work(tx, now))
        self._wake()
        self._live.tell(outcome)


def check_note(note: str | None) -> str | None:
    """The note without white space around it; None for none. Raises Rejected INVALID."""
    text = (note or "").strip()
    if len(text) > MAX_NOTE or not text.isprintable():
        raise Rejected("INVALID", f"A note is plain text of at most {MAX_NOTE} characters.", ["note"])
    return text or None
