"""The relay: takes events from the outbox to the broker, and marks them when the broker has confirmed.

A row is leased before it is published and marked after, so it is published at least once; inboxes make that once in
effect. What this process records is handed over with its commit, leased already; what others recorded, or left behind,
is looked for. Confirmations are awaited beside that: a slow queue does not hold up the events of others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import Column, Integer, Row, Table, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import telemetry
from db.bulk import among
from db.failpoints import failpoint
from db.prepared import Prepared
from db.session import Database
from db.statements import skip_locked
from db.waiting import until
from messaging import handover
from messaging.broker import MAX_DELAY_SECONDS, Broker, PublishFailed, redelivery_delay
from messaging.handover import COLUMNS, Recorded
from messaging.parcels import Parcel, pack

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""Between looks for events that nobody handed over."""
BUSY_POLL_SECONDS = 0.05
"""The same while there are such events."""
MARK_SECONDS = 0.5
"""Between marks: one statement marks all that was confirmed meanwhile."""
LEASE = timedelta(seconds=15)
"""Longer than a broker takes to confirm, or to be given up."""
ROWS_A_STEP = 512
"""Rows leased in one transaction at most; a message takes up to MAX_EVENTS of them."""

MAX_IN_FLIGHT = 16_384
"""Events published and not yet confirmed."""


class Relay:
    """One subgraph's relay. Several may work on one outbox: each row is leased to one of them."""

    def __init__(
        self, database: Database, outbox: Table, broker: Broker, *, batch: int = ROWS_A_STEP, lease: timedelta = LEASE
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._broker = broker
        self._batch = batch
        self._lease = lease
        self._woken = asyncio.Event()
        self._handed: list[Recorded] = []
        self._was_handed = False
        self._looked_at = 0.0
        self._next_look = 0.0
        self._next_mark = 0.0
        self._publishing: set[asyncio.Task[None]] = set()
        self._in_flight: set[str] = set()
        self._confirmed: set[str] = set()
        self._refused: set[str] = set()
        self._outages = 0
        self._resume_at = 0.0
        self._complained: set[str] = set()
        self._published = 0
        self._fresh = True
        self._step_lock = asyncio.Lock()
        self._prepare()

    def wake(self) -> None:
        """Something was committed. If it was not handed over, it is looked for. Never blocks, never fails."""
        if self._was_handed:
            self._was_handed = False
        else:
            self._next_look = min(self._next_look, self._looked_at + BUSY_POLL_SECONDS)
            self._woken.set()

    def room(self) -> timedelta | None:
        return self._lease if self._has_room() else None

    def take(self, events: Sequence[Recorded]) -> None:
        self._in_flight.update(each.id for each in events)
        self._handed += events
        self._was_handed = True
        self._woken.set()

    async def run(self) -> None:
        """Publish what is handed over, and what else the outbox gets, until cancelled."""
        failures = 0
        handover.begin(self._database, self._outbox, self)
        try:
            while True:
                self._woken.clear()
                handed, self._handed = self._handed, []
                self._send(handed)
                try:
                    await self._step_when_due()
                    failures = 0
                except Exception:
                    # The database is away or overloaded: nothing is lost by asking again later.
                    failures += 1
                    log.warning("outbox not readable", failures=failures, exc_info=failures == 1)
                    await asyncio.sleep(redelivery_delay(failures))
                    continue
                await self._rest()
        finally:
            handover.end(self._database, self._outbox, self)
            await self._let_go()

    async def drain(self) -> int:
        """Publish all that is pending and can be published now; the number of events confirmed."""
        before = self._published
        while await self._step(look=True) or self._publishing or self._confirmed or self._refused:
            if self._publishing:
                await asyncio.wait(self._publishing, return_when=asyncio.FIRST_COMPLETED)
        return self._published - before

    def _has_room(self) -> bool:
        return time.monotonic() >= self._resume_at and len(self._in_flight) < MAX_IN_FLIGHT

    async def _step_when_due(self) -> None:
        now = time.monotonic()
        look = now >= self._next_look
        if look or (self._to_settle() and now >= self._next_mark):
            found = await self._step(look)
            now = time.monotonic()
            self._next_mark = now + MARK_SECONDS
            if look:
                self._looked_at = now
            if look and found < self._batch:
                self._next_look = now + (BUSY_POLL_SECONDS if found or not self._has_room() else POLL_SECONDS)

    def _to_settle(self) -> bool:
        return bool(self._confirmed or self._refused)

    async def _rest(self) -> None:
        """Until something is handed over or confirmed, or the time has come to look, or to mark."""
        due = min(self._next_look, self._next_mark) if self._to_settle() else self._next_look
        if (seconds := due - time.monotonic()) > 0:
            await until(self._woken, seconds)

    async def _step(self, look: bool) -> int:
        """Mark what is confirmed and, to ``look``, lease the next rows and begin to publish them; how many."""
        async with self._step_lock:
            confirmed, refused = set(self._confirmed), set(self._refused)
            wanted = self._batch if look and self._has_room() else 0
            if not (confirmed or refused or wanted):
                return 0
            rows = await self._database.run(lambda tx: self._settle_and_claim(tx, confirmed, refused, wanted))
            self._fresh = False
            self._confirmed -= confirmed
            self._refused -= refused
            self._in_flight -= confirmed | refused
            self._published += len(confirmed)
        # A lease may have run out while its message waits for a slow queue: it is not published a second time here.
        new = [_recorded(row) for row in rows if row.id not in self._in_flight]
        self._in_flight.update(each.id for each in new)
        self._send(new)
        return len(rows)

    def _send(self, events: Sequence[Recorded]) -> None:
        if events:
            failpoint("relay.after_claim")
        for parcel in pack(events):
            task = asyncio.create_task(self._publish(parcel))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def _settle_and_claim(
        self, tx: AsyncConnection, confirmed: set[str], refused: set[str], wanted: int
    ) -> Sequence[Row[Any]]:
        outbox, now = self._outbox, datetime.now(UTC)
        unpublished = outbox.c.published_at.is_(None)
        if self._fresh and self._database.dialect == "sqlite":
            # One process owns the file: a lease found at the start is that of a process that died.
            await tx.execute(update(outbox).where(unpublished).values(leased_until=None))
        if confirmed:
            await self._mark.change(tx, ids=sorted(confirmed), b_now=now)
        if refused:
            await self._lease_until(tx, refused, now + timedelta(seconds=self._pause()))
        if not wanted:
            return []
        rows = await self._claim.rows(tx, now=now, wanted=wanted)
        if rows:
            await self._lease_until(tx, [row.id for row in rows], now + self._lease)
        return rows

    async def _lease_until(self, tx: AsyncConnection, ids: Iterable[str], until: datetime | None) -> None:
        await self._lease_these.change(tx, ids=sorted(ids), b_until=until)

    def _prepare(self) -> None:
        """The statements of every step, made once."""
        outbox = self._outbox
        among_these = among(outbox.c.id, "ids")
        self._mark = Prepared(update(outbox).where(among_these).values(published_at=bindparam("b_now")))
        self._lease_these = Prepared(update(outbox).where(among_these).values(leased_until=bindparam("b_until")))
        free = or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= bindparam("now"))
        query = select(*(outbox.c[name] for name in COLUMNS)).where(outbox.c.published_at.is_(None), free)
        these = query.order_by(*self._order()).limit(bindparam("wanted", type_=Integer()))
        self._claim = Prepared(skip_locked(these))

    def _order(self) -> list[Column[Any]]:
        """By position, said so that each database reads only the first rows of the index, and locks only those.

        Of a column that is always null here, PostgreSQL wants to hear again to use the index; MariaDB then sorts all.
        """
        position = self._outbox.c.position
        return [position] if self._database.dialect in ("mysql", "mariadb") else [self._outbox.c.published_at, position]

    async def _publish(self, parcel: Parcel) -> None:
        try:
            attributes: dict[str, str | int] = {
                "messaging.operation.type": "send",
                "messaging.batch.message_count": len(parcel.events),
            }
            with telemetry.caused_by(f"publish {parcel.type}", parcel.causes, SpanKind.PRODUCER, attributes):
                await self._broker.publish([parcel.message(encoded=not self._broker.in_process)])
        except PublishFailed as error:
            telemetry.count(lambda meters: meters.refused, len(parcel.ids), parcel.type)
            self._note_failure(parcel, error)
            self._refused.update(parcel.ids)
        except Exception:
            log.exception("publish failed", type=parcel.type)
            self._refused.update(parcel.ids)
        else:
            failpoint("relay.after_publish")
            telemetry.count(lambda meters: meters.published, len(parcel.ids), parcel.type)
            self._outages = 0
            self._complained.discard(parcel.type)
            self._confirmed.update(parcel.ids)
        self._woken.set()

    def _note_failure(self, parcel: Parcel, error: PublishFailed) -> None:
        """Say it once, not at every attempt."""
        if not error.down:
            if parcel.type not in self._complained:
                log.error("events not accepted", type=parcel.type, reason=str(error))
            self._complained.add(parcel.type)
        elif time.monotonic() >= self._resume_at:
            if not self._outages:
                log.warning("broker is down: events wait in the outbox", reason=str(error))
            self._outages += 1
            self._resume_at = time.monotonic() + self._pause()

    def _pause(self) -> float:
        """Seconds before the next attempt: from 0.1 up while the broker is down, the longest for a refused event."""
        return redelivery_delay(min(self._outages, 10)) if self._outages else MAX_DELAY_SECONDS

    async def _let_go(self) -> None:
        """Before the end: mark what is confirmed and give back the leases of the rest."""
        for task in list(self._publishing):
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        confirmed, rest = set(self._confirmed), self._in_flight - self._confirmed
        self._confirmed, self._refused, self._in_flight, self._handed = set(), set(), set(), []

        async def settle(tx: AsyncConnection) -> None:
            if confirmed:
                await self._mark.change(tx, ids=sorted(confirmed), b_now=datetime.now(UTC))
            if rest:
                await self._lease_until(tx, rest, None)

        if confirmed or rest:
            try:
                await self._database.run(settle)
            except Exception as error:
                log.warning("leases not given back: they run out by themselves", error=repr(error))


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(row.id, row.type, row.source, row.subject, row.time, row.data.encode(), row.traceparent)
