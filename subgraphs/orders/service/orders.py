"""What the API asks of orders and carts: each command in its transaction, then the news of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.batching import GroupCommit
from db.bulk import among
from db.failpoints import failpoint
from subgraphs.kit.copies import when_complete
from subgraphs.kit.errors import Rejected
from subgraphs.kit.subgraph import Runtime
from subgraphs.orders import models
from subgraphs.orders.domain.placing import MISSING, Line
from subgraphs.orders.service import carts
from subgraphs.orders.service.cancel import cancel, check_reason
from subgraphs.orders.service.confirm import confirm
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.place import NewOrder, PlaceOrder, place_orders
from subgraphs.orders.service.saga import Outcome
from subgraphs.orders.settings import Settings


def order_rows() -> Select[Any]:
    """Orders with their sagas, to be narrowed."""
    orders, sagas = models.orders, models.sagas
    saga_columns = [column for column in sagas.c if column.name != "order_id"]
    return select(orders, *saga_columns).join(sagas, sagas.c.order_id == orders.c.id)


AnyOrder = Row[Any] | NewOrder
_BY_IDS = order_rows().where(among(models.orders.c.id, "ids"))


class OrderService:
    """``wake`` is called after each commit that recorded events: it wakes the relay."""

    def __init__(self, runtime: Runtime, settings: Settings, live: Live, wake: Callable[[], None]) -> None:
        self._database = runtime.database
        self._now = runtime.now
        self._settings = settings
        self._live = live
        self._wake = wake
        self._placings: GroupCommit[PlaceOrder, AnyOrder] = GroupCommit(self._place_batch, limit=settings.batch)

    async def place(self, command: PlaceOrder) -> AnyOrder:
        """The new order (``order_rows``), or the earlier one that this command repeats. Raises Rejected."""

        async def attempt() -> AnyOrder | Rejected:
            try:
                return await self._placings.submit(command)
            except Rejected as rejected:
                return rejected

        result = await when_complete(attempt, _missing)
        if isinstance(result, Rejected):
            raise result
        return result

    async def cancel(self, buyer_id: str, order_id: str, reason: str) -> None:
        """Begin to take the order back. Raises Rejected."""
        text = check_reason(reason)
        again = self._settings.ask_again_after
        await self._change(lambda tx, now: cancel(tx, buyer_id, order_id, text, now, ask_again_after=again))
        failpoint("orders.cancel.after_commit")

    async def confirm(self, buyer_id: str, order_id: str) -> None:
        """Confirm the purchase. Raises Rejected."""
        await self._change(lambda tx, now: confirm(tx, buyer_id, order_id, now))

    async def add_to_cart(self, user_id: str | None, cart_id: str | None, lines: Sequence[Line]) -> str:
        """The id of the cart that now has ``lines``. Raises Rejected."""
        return await carts.add_lines(self._database, user_id, cart_id, lines, self._now())

    async def update_cart_line(self, user_id: str | None, cart_id: str, line_id: str, quantity: int) -> None:
        """Raises Rejected."""
        now = self._now()
        await self._database.run(lambda tx: carts.update_line(tx, user_id, cart_id, line_id, quantity, now))

    async def remove_cart_lines(self, user_id: str | None, cart_id: str, line_ids: Sequence[str]) -> None:
        """Raises Rejected."""
        now = self._now()
        await self._database.run(lambda tx: carts.remove_lines(tx, user_id, cart_id, line_ids, now))

    async def _change(self, work: Callable[[AsyncConnection, datetime], Awaitable[Outcome]]) -> None:
        now = self._now()
        outcome = await self._database.run(lambda tx: work(tx, now))
        self._wake()
        self._live.tell(outcome)

    async def _place_batch(self, commands: Sequence[PlaceOrder]) -> Sequence[AnyOrder | Exception]:
        now = self._now()

        async def work(tx: AsyncConnection) -> list[AnyOrder | Rejected]:
            placed = await place_orders(tx, commands, now, self._settings)
            earlier = [each for each in placed if isinstance(each, str)]
            rows = {row.id: row for row in await tx.execute(_BY_IDS, {"ids": earlier})} if earlier else {}
            return [rows[each] if isinstance(each, str) else each for each in placed]

        placed = await self._database.run(work)
        failpoint("orders.place.after_commit")
        self._wake()
        return placed


def _missing(result: AnyOrder | Rejected) -> Sequence[str]:
    return result.extras.get(MISSING, ()) if isinstance(result, Rejected) else ()
