"""What time alone brings about: questions asked again, unpaid orders expired, deliveries confirmed, rows forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit import housekeeping
from subgraphs.kit.subgraph import Runtime
from subgraphs.orders import models
from subgraphs.orders.domain.saga import Answer
from subgraphs.orders.service import carts, returns, saga
from subgraphs.orders.service.confirm import confirm_overdue
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.saga import News, Outcome
from subgraphs.orders.settings import Settings

TOO_LATE = "It was not paid in time."


class Sweeper:
    """Each ``sweep`` takes a limited number of rows: what is left over is taken next time."""

    def __init__(self, runtime: Runtime, settings: Settings, live: Live, wake: Callable[[], None]) -> None:
        self._database = runtime.database
        self._now = runtime.now
        self._settings = settings
        self._live = live
        self._wake = wake

    async def sweep(self) -> None:
        """Look once for all that is overdue."""
        now = self._now()
        after = timedelta(days=self._settings.auto_confirm_days)
        expired = await self._database.run(lambda tx: self._expire(tx, now))
        confirmed = await self._database.run(lambda tx: confirm_overdue(tx, now, after=after))
        asked = await self._database.run(
            lambda tx: saga.ask_again(tx, now, ask_again_after=self._settings.ask_again_after)
        )
        asked += await self._database.run(
            lambda tx: returns.ask_again(tx, now, ask_again_after=self._settings.ask_again_after)
        )
        if asked or expired.changed or confirmed.changed:
            self._wake()
        self._live.tell(expired)
        self._live.tell(confirmed)

    async def prune(self) -> None:
        """Forget what has had its time: keys, inbox, outbox, anonymous carts."""
        now = self._now()
        before = now - timedelta(days=self._settings.anonymous_cart_days)

        async def work(tx: AsyncConnection) -> None:
            await housekeeping.forget(tx, models.outbox, models.inbox, models.idempotency, now)
            await carts.forget_anonymous(tx, before)

        await self._database.run(work)

    async def _expire(self, tx: AsyncConnection, now: datetime) -> Outcome:
        overdue = await saga.overdue_payments(tx, now)
        news = [News(order_id, Answer.TIME_IS_UP, TOO_LATE) for order_id in overdue]
        return await saga.advance(tx, news, now, ask_again_after=self._settings.ask_again_after)
