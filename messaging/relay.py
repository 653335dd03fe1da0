"""The relay: takes events from the outbox to the broker, and marks them when the broker has confirmed.

A row is leased before it is published and marked after, so it is published at least once; inboxes make that once in
effect. Confirmations are awaited beside the next claims: a slow queue does not hold up the events of others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import Column, Integer, Row, Table, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import telemetry
from db.bulk import among
from db.failpoints import failpoint
from db.ids import new_ulid
from db.session import Database
from db.statements import skip_locked
from messaging.broker import MAX_DELAY_SECONDS, Broker, Message, PublishFailed, redelivery_delay
from messaging.envelope import CONTENT_TYPE, MAX_BYTES, MAX_EVENTS, Envelope, encode_envelope, seal

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
LEASE = timedelta(seconds=30)
ROWS_A_STEP = 512
"""Rows leased in one transaction at most; a message takes up to MAX_EVENTS of them."""

MAX_IN_FLIGHT = 4096
"""Events published and not yet confirmed."""


@dataclass(slots=True)
class Parcel:
    """Rows that go out as one message."""

    type: str
    positions: list[int] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    causes: list[tuple[str, str | None]] = field(default_factory=list)
    size: int = 2

    def takes(self, type: str, size: int) -> bool:
        return self.type == type and len(self.positions) < MAX_EVENTS and self.size + size < MAX_BYTES

    def add(self, row: Row[Any], event: bytes) -> None:
        self.positions.append(row.position)
        self.events.append(event)
        self.causes.append((row.subject, row.traceparent))
        self.size += len(event) + 1

    def message(self) -> Message:
        headers = {"content-type": CONTENT_TYPE}
        return Message(type=self.type, body=b"[" + b",".join(self.events) + b"]", id=new_ulid(), headers=headers)


def pack(rows: Sequence[Row[Any]]) -> list[Parcel]:
    """Rows (in order of position) as few parcels of one type each, the events of one subject still in order."""
    parcels: list[Parcel] = []
    last_of_subject: dict[str, int] = {}
    for row in rows:
        event = encode_envelope(_envelope(row))
        earliest = last_of_subject.get(row.subject, 0)
        fitting = (n for n in range(earliest, len(parcels)) if parcels[n].takes(row.type, len(event)))
        index = next(fitting, len(parcels))
        if index == len(parcels):
            parcels.append(Parcel(row.type))
        parcels[index].add(row, event)
        last_of_subject[row.subject] = index
    return parcels


def _envelope(row: Row[Any]) -> Envelope:
    return seal(
        id=row.id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=row.time,
        data=row.data.encode(),
        traceparent=row.traceparent,
    )


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
        self._publishing: set[asyncio.Task[None]] = set()
        self._in_flight: set[int] = set()
        self._confirmed: set[int] = set()
        self._refused: set[int] = set()
        self._outages = 0
        self._resume_at = 0.0
        self._complained: set[str] = set()
        self._published = 0
        self._fresh = True
        self._step_lock = asyncio.Lock()
        self._prepare()

    def wake(self) -> None:
        """There may be something to publish. Never blocks, never fails."""
        self._woken.set()

    async def run(self) -> None:
        """Publish what the outbox gets, until cancelled."""
        failures = 0
        try:
            while True:
                self._woken.clear()
                try:
                    more = await self._step() == self._batch
                    failures = 0
                except Exception:
                    # The database is away or overloaded: nothing is lost by asking again later.
                    failures += 1
                    log.warning("outbox not readable", failures=failures, exc_info=failures == 1)
                    await asyncio.sleep(redelivery_delay(failures))
                    continue
                if not more:
                    await self._rest()
        finally:
            await self._let_go()

    async def drain(self) -> int:
        """Publish all that is pending and can be published now; the number of events confirmed."""
        before = self._published
        while await self._step() or self._publishing or self._confirmed or self._refused:
            if self._publishing:
                await asyncio.wait(self._publishing, return_when=asyncio.FIRST_COMPLETED)
        return self._published - before

    async def _rest(self) -> None:
        # Not wait_for: on Python 3.11 it loses a cancellation that comes at the moment of the wake.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()

    async def _step(self) -> int:
        """Mark what is confirmed, lease the next rows and start to publish them; how many were leased."""
        async with self._step_lock:
            confirmed, refused = set(self._confirmed), set(self._refused)
            idle = time.monotonic() < self._resume_at or len(self._in_flight) >= MAX_IN_FLIGHT
            wanted = 0 if idle else self._batch
            if not (confirmed or refused or wanted):
                return 0
            rows = await self._database.run(lambda tx: self._settle_and_claim(tx, confirmed, refused, wanted))
            self._fresh = False
            self._confirmed -= confirmed
            self._refused -= refused
            self._in_flight -= confirmed | refused
            self._published += len(confirmed)
        # A lease may have run out while its message waits for a slow queue: it is not published a second time here.
        new = [row for row in rows if row.position not in self._in_flight]
        self._in_flight.update(row.position for row in new)
        if new:
            failpoint("relay.after_claim")
        for parcel in pack(new):
            task = asyncio.create_task(self._publish(parcel))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)
        return len(rows)

    async def _settle_and_claim(
        self, tx: AsyncConnection, confirmed: set[int], refused: set[int], wanted: int
    ) -> Sequence[Row[Any]]:
        outbox, now = self._outbox, datetime.now(UTC)
        unpublished = outbox.c.published_at.is_(None)
        if self._fresh and self._database.dialect == "sqlite":
            # One process owns the file: a lease found at the start is that of a process that died.
            await tx.execute(update(outbox).where(unpublished).values(leased_until=None))
        if confirmed:
            await tx.execute(self._mark, {"positions": confirmed, "b_now": now})
        if refused:
            await self._lease_until(tx, refused, now + timedelta(seconds=self._pause()))
        if not wanted:
            return []
        rows: Sequence[Row[Any]] = (await tx.execute(self._claim, {"now": now, "wanted": wanted})).all()
        if rows:
            await self._lease_until(tx, [row.position for row in rows], now + self._lease)
        return rows

    async def _lease_until(self, tx: AsyncConnection, positions: Collection[int], until: datetime | None) -> None:
        await tx.execute(self._take, {"positions": positions, "b_until": until})

    def _prepare(self) -> None:
        """The statements of every step, made once."""
        outbox = self._outbox
        among_these = among(outbox.c.position, "positions")
        self._mark = update(outbox).where(among_these).values(published_at=bindparam("b_now"))
        self._take = update(outbox).where(among_these).values(leased_until=bindparam("b_until"))
        free = or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= bindparam("now"))
        names = ("position", "id", "type", "source", "subject", "time", "data", "traceparent")
        query = select(*(outbox.c[name] for name in names)).where(outbox.c.published_at.is_(None), free)
        self._claim = skip_locked(query.order_by(*self._order()).limit(bindparam("wanted", type_=Integer())))

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
                await self._broker.publish([parcel.message()])
        except PublishFailed as error:
            telemetry.count(lambda meters: meters.refused, len(parcel.positions), parcel.type)
            self._note_failure(parcel, error)
            self._refused.update(parcel.positions)
        except Exception:
            log.exception("publish failed", type=parcel.type)
            self._refused.update(parcel.positions)
        else:
            failpoint("relay.after_publish")
            telemetry.count(lambda meters: meters.published, len(parcel.positions), parcel.type)
            self._outages = 0
            self._complained.discard(parcel.type)
            self._confirmed.update(parcel.positions)
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
        self._confirmed, self._refused, self._in_flight = set(), set(), set()

        async def settle(tx: AsyncConnection) -> None:
            if confirmed:
                await tx.execute(self._mark, {"positions": confirmed, "b_now": datetime.now(UTC)})
            if rest:
                await self._lease_until(tx, rest, None)

        if confirmed or rest:
            try:
                await self._database.run(settle)
            except Exception as error:
                log.warning("leases not given back: they run out by themselves", error=repr(error))
