"""Thousands who watch a sale, at the cost of one: a process looks at it once for all its watchers, and wakes only those
whom the news of the line concerns."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, Select, select

from db.batching import GroupCommit
from db.session import Database, is_away
from db.waiting import until
from subgraphs.kit.changes import Changes
from subgraphs.kit.errors import Unavailable
from subgraphs.products.flash.domain import QueueTicketStatus
from subgraphs.products.flash.models import items, sales, tickets

LOOK_PAUSE_SECONDS = 0.25
"""Between two looks at a sale, however often it moves."""

AWAY_PAUSE_SECONDS = 1.0
READ_TOGETHER = 500

WAITING = QueueTicketStatus.WAITING.value
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counters:
    """How far the line of a sale has come: what makes a number a position."""

    drawn: bool = False
    over: bool = False
    admitted_through: int = 0
    admission_rate: int = 1


class Line:
    """The newest counters of a sale, and who waits for others."""

    def __init__(self) -> None:
        self.counters: Counters | None = None
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self._failed = False
        self._first = asyncio.Event()
        self._all: set[asyncio.Event] = set()
        self._numbers: dict[int, set[asyncio.Event]] = defaultdict(set)

    @property
    def is_over(self) -> bool:
        """Whether the sale has ended."""
        return self.counters is not None and self.counters.over

    async def ready(self) -> Counters:
        """The counters, once they were read. Raises Unavailable if they never will be."""
        await self._first.wait()
        if self.counters is None:
            raise Unavailable("The line cannot be watched right now.")
        return self.counters

    def turn(self, counters: Counters) -> None:
        """The line has come so far: wake those who were let in; everybody when it was drawn or is over."""
        before = self.counters
        self.counters = counters
        self._first.set()
        if before is None or (before.drawn, before.over) != (counters.drawn, counters.over):
            self._wake(self._all)
            return
        for number in range(before.admitted_through + 1, counters.admitted_through + 1):
            self._wake(self._numbers.get(number, ()))

    def fail(self) -> None:
        """Nothing will come any more: whoever waits is to know."""
        self._failed = True
        self._first.set()
        self._wake(self._all)

    def concerns(self, ticket: Row[Any]) -> bool:
        """Whether a ticket that was read before must be read again. Raises Unavailable when the line has failed."""
        if self._failed:
            raise Unavailable("The line cannot be watched right now.")
        counters = self.counters
        if counters is None or ticket.status != WAITING:
            return True
        return counters.over or (
            counters.drawn if ticket.number is None else ticket.number <= counters.admitted_through
        )

    async def news(self, ticket: Row[Any], within: float | None) -> None:
        """Return when the line's news concerns the ticket, or after so many seconds (None: only then)."""
        with self._place(ticket.number if ticket.status == WAITING else None) as woken:
            if ticket.status == WAITING and self.concerns(ticket):  # it moved while the ticket was read
                await asyncio.sleep(LOOK_PAUSE_SECONDS)
                return
            await until(woken, within)

    @contextmanager
    def _place(self, number: int | None) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        self._all.add(woken)
        if number is not None:
            self._numbers[number].add(woken)
        try:
            yield woken
        finally:
            self._all.discard(woken)
            if number is not None:
                self._numbers[number].discard(woken)
                if not self._numbers[number]:
                    del self._numbers[number]

    @staticmethod
    def _wake(all_woken: Sequence[asyncio.Event] | set[asyncio.Event] | tuple[()]) -> None:
        for woken in tuple(all_woken):
            woken.set()


class Lines:
    """The lines that somebody in this process watches; tickets and items, read together."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self._lines: dict[str, Line] = {}
        self._tickets: GroupCommit[str, Row[Any] | None] = GroupCommit(self._read_tickets, limit=READ_TOGETHER)
        self._items: GroupCommit[str, list[Row[Any]]] = GroupCommit(self._read_items, limit=READ_TOGETHER)

    async def items(self, sale_id: str) -> list[Row[Any]]:
        """The items of a sale, in order; whoever asks at the same time is one query."""
        return await self._items.submit(sale_id)

    async def ticket(self, ticket_id: str, user_id: str) -> Row[Any] | None:
        """The customer's own ticket with its sale's counters; those asked for at the same time are one query."""
        row = await self._tickets.submit(ticket_id)
        return row if row is not None and row.user_id == user_id else None

    @asynccontextmanager
    async def watched(self, sale_id: str) -> AsyncIterator[Line]:
        """The line of a sale, followed as long as anybody watches it."""
        line = self._lines.get(sale_id)
        if line is None:
            line = self._lines[sale_id] = Line()
            line.task = asyncio.create_task(self._follow(sale_id, line))
        line.watchers += 1
        try:
            await line.ready()
            yield line
        finally:
            line.watchers -= 1
            if not line.watchers and line.task is not None:
                line.task.cancel()
                self._forget(sale_id, line)

    def _forget(self, sale_id: str, line: Line) -> None:
        if self._lines.get(sale_id) is line:
            del self._lines[sale_id]

    async def _follow(self, sale_id: str, line: Line) -> None:
        try:
            async for _ in self._changes.listen(f"flash-line:{sale_id}", at_once=True):
                line.turn(await self._counters(sale_id))
                await asyncio.sleep(LOOK_PAUSE_SECONDS)
        except Exception:
            log.exception("flash.line_failed", sale=sale_id)
            self._forget(sale_id, line)
            line.fail()

    async def _counters(self, sale_id: str) -> Counters:
        """How far it is now; as long as the database is away, how far it is once it is back."""
        query = select(sales.c.drawn_at, sales.c.closed, sales.c.admitted_through, sales.c.admission_rate)
        while True:
            try:
                async with self._database.read() as connection:
                    row = (await connection.execute(query.where(sales.c.id == sale_id))).one()
            except Exception as error:
                if not is_away(error):
                    raise
                log.warning("flash.line_waits_for_the_database", sale=sale_id, error=type(error).__name__)
                await asyncio.sleep(AWAY_PAUSE_SECONDS)
                continue
            return Counters(row.drawn_at is not None, row.closed, row.admitted_through, row.admission_rate)

    async def _read_tickets(self, ids: Sequence[str]) -> list[Row[Any] | Exception | None]:
        counters = (sales.c.admitted_through, sales.c.admission_rate)
        query = select(tickets, *counters).join(sales, sales.c.id == tickets.c.sale_id)
        found = await self._rows(query.where(tickets.c.id.in_(sorted(set(ids)))))
        if isinstance(found, Exception):
            return [found] * len(ids)
        rows = {row.id: row for row in found}
        return [rows.get(each) for each in ids]

    async def _read_items(self, sale_ids: Sequence[str]) -> list[list[Row[Any]] | Exception]:
        found = await self._rows(select(items).where(items.c.sale_id.in_(sorted(set(sale_ids)))).order_by(items.c.id))
        if isinstance(found, Exception):
            return [found] * len(sale_ids)
        return [[row for row in found if row.sale_id == sale_id] for sale_id in sale_ids]

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]] | Exception:
        """The rows, or why the database is away: that is for all who asked, nobody need ask again alone."""
        try:
            async with self._database.read() as connection:
                rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
                return rows
        except Exception as error:
            if not is_away(error):
                raise
            return error
