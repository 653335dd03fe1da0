"""A subgraph's consumer: each event takes effect once, however often it is delivered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from db import telemetry
from db.batching import GroupCommit
from db.failpoints import failpoint
from db.session import Database
from db.statements import answers
from messaging.broker import DELIVERY_LIMIT, MAX_DELAY_SECONDS, PREFETCH, Broker, Message, Subscription
from messaging.envelope import Event, MalformedEvent, encode_batch
from messaging.events import EventData
from messaging.inbox import bury, claim

log = structlog.get_logger(__name__)

EVENTS_TOGETHER = 256
"""Events handled in one transaction at most."""

_Events = list[Event[EventData]]
_Failures = list[tuple[Event[EventData], Exception]]

Hook = Callable[[], None]
Handler = Callable[[AsyncConnection, Sequence[Event[Any]]], Awaitable[Hook | None]]
"""The effect of the unseen events of its types, in the given transaction. It may run again after a rollback, so it does
nothing outside; what it returns, if anything, is called once after the commit."""


class Consumer:
    """Handles what ``queue`` brings. ``after_commit`` is called after each commit: it wakes the relay."""

    def __init__(
        self,
        database: Database,
        inbox: Table,
        dead_letters: Table,
        broker: Broker,
        queue: str,
        handlers: Mapping[type[EventData], Handler],
        *,
        after_commit: Callable[[], None],
        attempts: int = DELIVERY_LIMIT,
        prefetch: int = PREFETCH,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._dead_letters = dead_letters
        self._broker = broker
        self._queue = queue
        self._handlers = {payload.type: handler for payload, handler in handlers.items()}
        self._in_order = tuple(dict.fromkeys(self._handlers.values()))
        self._after_commit = after_commit
        self._attempts = attempts
        self._prefetch = prefetch
        self._subscription: Subscription | None = None
        # Messages that come while a transaction runs share the next one: the busier, the cheaper an event.
        self._together: GroupCommit[_Events, _Failures] = GroupCommit(
            self._apply_together, limit=EVENTS_TOGETHER, weight=len
        )

    async def start(self) -> None:
        """Declare the queue and begin."""
        types = sorted(self._handlers)
        for type in types:
            telemetry.begin(lambda meters: meters.failed, self._queue, type)
        self._subscription = await self._broker.consume(self._queue, types, self.handle, prefetch=self._prefetch)

    async def stop(self) -> None:
        """Take no more; return when the running handlers have ended."""
        if self._subscription:
            await self._subscription.cancel()
            self._subscription = None

    async def run(self) -> None:
        """Consume until cancelled."""
        await self.start()
        try:
            await asyncio.Event().wait()
        finally:
            await self.stop()

    async def handle(self, message: Message) -> None:
        """Apply or bury every event of ``message``. Raises when some must be delivered again."""
        try:
            events = message.events()
        except MalformedEvent as error:
            log.error("malformed message", queue=self._queue, type=message.type, error=str(error))
            await self._bury(message.id, message.type, message.body, error, message.attempt)
            return
        known = [event for event in events if event.type in self._handlers]
        for event in events:
            if event.type not in self._handlers:
                await self._bury_event(event, LookupError(f"{self._queue} does not take {event.type}"), message.attempt)
        failures = await self._together.submit(known) if known else []
        if failures:
            await self._failed(failures, message.attempt)

    async def _failed(self, failures: _Failures, attempt: int) -> None:
        """Raise the first failure, so that the message comes again; bury the events when it has come often enough."""
        event, first = failures[0]
        log.warning(
            "events failed",
            queue=self._queue,
            type=event.type,
            count=len(failures),
            attempt=attempt,
            exc_info=first,
        )
        if attempt < self._attempts:
            raise first
        for event, cause in failures:
            await self._bury_event(event, cause, attempt)

    async def _apply_together(self, messages: Sequence[_Events]) -> Sequence[_Failures]:
        """Apply what came in several messages in one transaction; the failures of each."""
        failures = await self._apply_or_split([event for events in messages for event in events])
        if not failures:
            return [[]] * len(messages)
        by_id = {event.id: (event, error) for event, error in failures}
        return [[by_id[event.id] for event in events if event.id in by_id] for events in messages]

    async def _apply_or_split(self, events: _Events) -> _Failures:
        """Apply all at once or, when that fails, one by one, so that a bad event does not hold up the others."""
        try:
            await self._apply_when_up(events)
            return []
        except Exception as error:
            if len(events) == 1:
                return [(events[0], error)]
        failures = []
        for event in events:
            failures += await self._apply_or_split([event])
        return failures

    async def _apply_when_up(self, events: Sequence[Event[EventData]]) -> None:
        """Apply; wait while the database is away, for that says nothing against the events."""
        waited = 0.1
        while True:
            try:
                return await self._measured(events)
            except Exception:
                if await self._database_answers():
                    raise
            log.warning("database does not answer", queue=self._queue, wait=waited)
            await asyncio.sleep(waited)
            waited = min(waited * 2, MAX_DELAY_SECONDS)

    async def _measured(self, events: Sequence[Event[EventData]]) -> None:
        started = perf_counter()
        causes = [(event.subject, event.traceparent) for event in events]
        attributes = {"messaging.destination.name": self._queue, "messaging.operation.type": "process"}
        numbers = Counter(event.type for event in events)
        try:
            with telemetry.caused_by(f"process {self._queue}", causes, SpanKind.CONSUMER, attributes):
                await self._apply(events)
        except Exception:
            for type, number in numbers.items():
                telemetry.count(lambda meters: meters.failed, number, self._queue, type)
            raise
        meters, took = telemetry.meters(), perf_counter() - started
        for type, number in numbers.items():
            telemetry.count(lambda meters: meters.consumed, number, self._queue, type)
            if meters is not None:
                meters.handled.labels(self._queue, type).observe(took)

    async def _apply(self, events: Sequence[Event[EventData]]) -> None:
        async def work(tx: AsyncConnection) -> list[Hook]:
            unseen = await claim(tx, self._inbox, [event.id for event in events])
            fresh = {event.id: event for event in events if event.id in unseen}
            made = [await handler(tx, its) for handler, its in self._by_handler(fresh.values())]
            failpoint("consumer.before_commit")
            return [hook for hook in made if hook is not None]

        hooks = await self._database.run(work)
        failpoint("consumer.after_commit")
        self._after_commit()
        for hook in hooks:
            self._call(hook)

    def _by_handler(self, events: Iterable[Event[EventData]]) -> list[tuple[Handler, _Events]]:
        """In the order of the handlers, so that two transactions take their locks in one order."""
        groups: dict[Handler, _Events] = {}
        for event in events:
            groups.setdefault(self._handlers[event.type], []).append(event)
        return [(handler, groups[handler]) for handler in self._in_order if handler in groups]

    def _call(self, hook: Hook) -> None:
        try:
            hook()
        except Exception:
            # The effect is committed: delivering the events again would not run the hook again.
            log.exception("hook failed", queue=self._queue)

    async def _database_answers(self) -> bool:
        try:
            async with self._database.transaction() as tx:
                return await answers(tx)
        except Exception:
            return False

    async def _bury_event(self, event: Event[EventData], error: Exception, attempt: int) -> None:
        log.error("event buried", queue=self._queue, type=event.type, id=event.id, error=repr(error))
        await self._bury(event.id, event.type, encode_batch([event]), error, attempt)

    async def _bury(self, event_id: str, type: str, payload: bytes, error: Exception, attempt: int) -> None:
        await self._database.run(
            lambda tx: bury(
                tx,
                self._dead_letters,
                event_id=event_id,
                type=type,
                payload=payload,
                error=f"{error.__class__.__name__}: {error}",
                attempts=attempt,
            )
        )
