"""The broker of the all-in-one process. It keeps nothing: the outbox does.

A message is confirmed when every bound queue's handler has returned, that is when its effects are committed. So a
killed process loses nothing: the outbox publishes again what was not confirmed, and inboxes drop what was handled.
For the same reason a message that its handler refuses for good is not put aside here: its publishing fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import structlog

from messaging.broker import DELIVERY_LIMIT, PREFETCH, Message, MessageHandler, PublishFailed, redelivery_delay

log = structlog.get_logger(__name__)

GRACE_SECONDS = 5.0


@dataclass(slots=True)
class _Delivery:
    message: Message
    confirmed: asyncio.Future[None]


class MemoryBroker:
    """``delay`` gives the seconds to wait after a failed attempt. A handler must not itself wait for a publish."""

    in_process = True

    def __init__(self, *, unrouted: Collection[str] = (), delay: Callable[[int], float] = redelivery_delay) -> None:
        self._unrouted = frozenset(unrouted)
        self._delay = delay
        self._queues: dict[str, asyncio.Queue[_Delivery]] = {}
        self._bindings: dict[str, set[str]] = {}
        self._subscriptions: list[_MemorySubscription] = []
        self._unconfirmed: set[asyncio.Future[None]] = set()
        self._closed = False

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when every message is handled by every queue bound to its type. Raises PublishFailed."""
        if self._closed:
            raise PublishFailed({message.id: "the broker is closed" for message in messages}, down=True)
        waiting: list[tuple[Message, asyncio.Future[None]]] = []
        failed: dict[str, str] = {}
        for message in messages:
            queues = self._bindings.get(message.type, set())
            if not queues and message.type not in self._unrouted:
                failed[message.id] = f"no queue takes {message.type}"
            waiting += [(message, self._enqueue(queue, message)) for queue in sorted(queues)]
        outcomes = await asyncio.gather(*(confirmed for _, confirmed in waiting), return_exceptions=True)
        for (message, _), outcome in zip(waiting, outcomes, strict=True):
            if outcome is not None:
                failed[message.id] = str(outcome)
        if failed:
            raise PublishFailed(failed, down=self._closed)

    def _enqueue(self, queue: str, message: Message) -> asyncio.Future[None]:
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed.add(confirmed)
        confirmed.add_done_callback(self._unconfirmed.discard)
        self._queues[queue].put_nowait(_Delivery(replace(message, attempt=1), confirmed))
        return confirmed

    async def consume(
        self, queue: str, types: Sequence[str], handler: MessageHandler, *, prefetch: int = PREFETCH
    ) -> _MemorySubscription:
        """Bind ``queue`` to ``types`` and start handling. Several consumers of one queue share its messages."""
        deliveries = self._queues.setdefault(queue, asyncio.Queue())
        for type in types:
            self._bindings.setdefault(type, set()).add(queue)
        subscription = _MemorySubscription(queue, deliveries, handler, self._delay, prefetch)
        self._subscriptions.append(subscription)
        return subscription

    async def close(self) -> None:
        self._closed = True
        for subscription in self._subscriptions:
            await subscription.cancel()
        for confirmed in list(self._unconfirmed):
            if not confirmed.done():
                confirmed.set_exception(ConnectionError("the broker was closed"))


class _MemorySubscription:
    def __init__(
        self,
        queue: str,
        deliveries: asyncio.Queue[_Delivery],
        handler: MessageHandler,
        delay: Callable[[int], float],
        prefetch: int,
    ) -> None:
        self._queue = queue
        self._deliveries = deliveries
        self._handler = handler
        self._delay = delay
        self._stopping = False
        self._busy: set[asyncio.Task[None]] = set()
        self._workers = [asyncio.create_task(self._work(), name=f"{queue}-{n}") for n in range(prefetch)]

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None
        while not self._stopping:
            delivery = await self._deliveries.get()
            if delivery.confirmed.done():
                continue  # its publisher has given up: the outbox will bring the events again
            self._busy.add(me)
            try:
                await self._deliver(delivery)
            finally:
                self._busy.discard(me)

    async def _deliver(self, delivery: _Delivery) -> None:
        try:
            await self._handler(delivery.message)
        except asyncio.CancelledError:
            self._deliveries.put_nowait(delivery)
            raise
        except Exception as error:
            self._refused(delivery, error)
        else:
            if not delivery.confirmed.done():
                delivery.confirmed.set_result(None)

    def _refused(self, delivery: _Delivery, error: Exception) -> None:
        attempt = delivery.message.attempt
        if attempt <= DELIVERY_LIMIT:
            delivery.message = replace(delivery.message, attempt=attempt + 1)
            asyncio.get_running_loop().call_later(self._delay(attempt), self._deliveries.put_nowait, delivery)
            return
        log.error("message refused for good", queue=self._queue, type=delivery.message.type, error=repr(error))
        if not delivery.confirmed.done():
            delivery.confirmed.set_exception(RuntimeError(f"{self._queue} refused it {attempt} times: {error!r}"))

    async def cancel(self) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker not in self._busy:
                worker.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=GRACE_SECONDS)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
