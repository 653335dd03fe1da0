"""From the transaction that records events to the relay of the same process: over the counter, not through the table.

The rows are in the outbox before anybody sees the events, leased already to the relay that is going to get them. It
need not look for them there, nor lease them: two of three writes of a row, and a query, are saved. A process that dies
with events in its hands lets the leases run out, as after any other death.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database, database_of
from messaging.events import EventData


class Recorded(NamedTuple):
    """An event as the outbox keeps it; ``data`` is JSON, what is personal in it sealed. ``payload``: the same as it was
    told, if that was in this process."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: bytes
    traceparent: str | None
    payload: EventData | None = None


COLUMNS = Recorded._fields[:-1]
"""Of the outbox."""


class Taker(Protocol):
    """A relay that runs in this process."""

    def room(self) -> timedelta | None:
        """For how long events handed over now are its own; None when they should wait in the table."""

    def take(self, events: Sequence[Recorded]) -> None:
        """Events that are committed, in the order of their recording. Never blocks, never fails."""


_takers: WeakKeyDictionary[Database, dict[str, Taker]] = WeakKeyDictionary()


def begin(database: Database, outbox: Table, taker: Taker) -> None:
    """From now on the events that this process records in ``outbox`` go to ``taker``; not if another takes them."""
    _takers.setdefault(database, {}).setdefault(outbox.name, taker)


def end(database: Database, outbox: Table, taker: Taker) -> None:
    """They stay in the table again."""
    of_database = _takers.get(database, {})
    if of_database.get(outbox.name) is taker:
        del of_database[outbox.name]


def taker_of(tx: AsyncConnection, outbox: Table) -> Taker | None:
    """Who takes what is recorded in this transaction."""
    database = database_of(tx)
    return None if database is None else _takers.get(database, {}).get(outbox.name)
