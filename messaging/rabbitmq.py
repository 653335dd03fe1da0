"""The broker of many processes: RabbitMQ, with publisher confirms and acknowledgement after the commit.

Publishing has a plain connection of its own, opened when needed: while RabbitMQ is away it fails at once, and the
relay asks again later. Consuming has a robust one, which comes back and declares everything anew by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence

import aio_pika
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    AbstractRobustConnection,
)
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError, PublishError

from db.waiting import until
from messaging.broker import PREFETCH, Message, MessageHandler, PublishFailed, redelivery_delay
from messaging.envelope import CONTENT_TYPE
from messaging.topology import declare_exchange, declare_queue

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
OPEN_SECONDS = 10.0
CONFIRM_SECONDS = 5.0
HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

_LOST = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, asyncio.CancelledError)


class RabbitBroker:
    """Connects when first used. ``unrouted``: types that may be published though no queue takes them.

    ``queues``: which types each queue takes. They are declared before anything is published: a queue whose consumer
    has never run yet must not miss what is told today.
    """

    in_process = False

    def __init__(
        self,
        url: str,
        *,
        unrouted: Collection[str] = (),
        queues: Mapping[str, Sequence[str]] | None = None,
        delay: Callable[[int], float] = redelivery_delay,
    ) -> None:
        self._url = url
        self._unrouted = frozenset(unrouted)
        self._delay = delay
        self._publisher = _Publisher(url, queues or {})
        self._consumers: AbstractRobustConnection | None = None
        self._connecting = asyncio.Lock()
        self._subscriptions: list[_RabbitSubscription] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when RabbitMQ has every message on disk in every queue bound to its type. Raises PublishFailed."""
        try:
            exchange = await self._publisher.exchange()
        except _LOST as error:
            _raise_if_cancelled(error)
            raise PublishFailed({each.id: f"cannot connect: {error!r}" for each in messages}, down=True) from error
        outcomes = await asyncio.gather(*(self._publish(exchange, message) for message in messages))
        failed = {message.id: str(error) for message, error in zip(messages, outcomes, strict=True) if error}
        if failed:
            down = any(isinstance(error, ConnectionError) for error in outcomes)
            if down:
                await self._publisher.drop()
            raise PublishFailed(failed, down=down)

    async def _publish(self, exchange: AbstractExchange, message: Message) -> Exception | None:
        packed = aio_pika.Message(
            message.body,
            message_id=message.id,
            type=message.type,
            content_type=CONTENT_TYPE,
            headers=dict(message.headers),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        mandatory = message.type not in self._unrouted
        try:
            await exchange.publish(packed, message.type, mandatory=mandatory, timeout=CONFIRM_SECONDS)
        except PublishError:
            return LookupError(f"no queue takes {message.type}")
        except DeliveryError as error:
            return RuntimeError(f"refused: {error!r}")
        except _LOST as error:
            _raise_if_cancelled(error)
            return ConnectionError(f"connection lost: {error!r}")
        return None

    async def consume(
        self, queue: str, types: Sequence[str], handler: MessageHandler, *, prefetch: int = PREFETCH
    ) -> _RabbitSubscription:
        """Declare ``queue`` and start handling. Waits until RabbitMQ can be reached."""
        connection = await self._consumer_connection()
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=prefetch)
        declared = await declare_queue(channel, queue, types)
        subscription = _RabbitSubscription(channel, declared, handler, self._delay)
        await subscription.start()
        self._subscriptions.append(subscription)
        return subscription

    async def _consumer_connection(self) -> AbstractRobustConnection:
        async with self._connecting:
            if self._consumers is None:
                self._consumers = await aio_pika.connect_robust(
                    self._url,
                    fail_fast=False,
                    timeout=CONNECT_SECONDS,
                    heartbeat=HEARTBEAT_SECONDS,
                    reconnect_interval=RECONNECT_SECONDS,
                )
            return self._consumers

    async def close(self) -> None:
        for subscription in self._subscriptions:
            await subscription.cancel()
        await self._publisher.close()
        if self._consumers is not None:
            await self._consumers.close()


def _raise_if_cancelled(error: BaseException) -> None:
    """aiormq cancels what waits on a lost connection; only our own cancellation must go on."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


class _Publisher:
    """One connection, opened when there is none; whoever needs it meanwhile waits for the same attempt."""

    def __init__(self, url: str, queues: Mapping[str, Sequence[str]]) -> None:
        self._url = url
        self._queues = queues
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._opening: asyncio.Task[AbstractExchange] | None = None
        self._closed = False

    async def exchange(self) -> AbstractExchange:
        """The exchange on an open channel. Raises AMQPError, OSError or TimeoutError when there is none to be had."""
        if self._closed:
            raise ConnectionError("the broker was closed")
        if self._exchange is not None and self._channel is not None and not self._channel.is_closed:
            return self._exchange
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[AbstractExchange]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # those who waited have it; nobody may be left to

    async def _open(self) -> AbstractExchange:
        await self.drop()
        async with asyncio.timeout(OPEN_SECONDS):
            connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS, heartbeat=HEARTBEAT_SECONDS)
            self._connection = connection
            self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await declare_exchange(self._channel)
            for queue, types in self._queues.items():
                await declare_queue(self._channel, queue, types)
            self._exchange = exchange
            return exchange

    async def drop(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.close()

    async def close(self) -> None:
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self.drop()


class _RabbitSubscription:
    def __init__(
        self, channel: AbstractChannel, queue: AbstractQueue, handler: MessageHandler, delay: Callable[[int], float]
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._handler = handler
        self._delay = delay
        self._stopping = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()
        self._tag = ""

    async def start(self) -> None:
        self._tag = await self._queue.consume(self._on_message)

    async def _on_message(self, incoming: AbstractIncomingMessage) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._busy.add(me)
        try:
            await self._deliver(incoming)
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # The channel is gone, so the message comes again; the inbox knows it.
            log.warning("not acknowledged", queue=self._queue.name, error=repr(error))
        finally:
            self._busy.discard(me)

    async def _deliver(self, incoming: AbstractIncomingMessage) -> None:
        message = _unpack(incoming)
        try:
            await self._handler(message)
        except Exception as error:
            log.warning(
                "refused", queue=self._queue.name, type=message.type, attempt=message.attempt, error=repr(error)
            )
            await until(self._stopping, self._delay(message.attempt))
            await incoming.nack(requeue=True)
        else:
            await incoming.ack()

    async def cancel(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._queue.cancel(self._tag)
        if self._busy:
            await asyncio.wait(self._busy, timeout=GRACE_SECONDS)
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._channel.close()


def _unpack(incoming: AbstractIncomingMessage) -> Message:
    headers = {key: str(value) for key, value in incoming.headers.items()}
    return Message(
        type=incoming.type or incoming.routing_key or "",
        body=incoming.body,
        id=incoming.message_id or "",
        headers=headers,
        attempt=int(headers.get("x-delivery-count", 0)) + 1,
    )
