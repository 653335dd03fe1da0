"""The outbox: events recorded in the transaction of what they tell, so that neither exists without the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Index, MetaData, String, Table, Text, delete
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.ext.asyncio import AsyncConnection

from db import telemetry
from db.base import TABLE_OPTIONS
from db.bulk import insert_rows
from db.columns import SequenceType, UlidType, UtcDateTime
from db.ids import new_ulid
from db.session import after_commit
from messaging.envelope import ENVELOPE_BYTES, MAX_BYTES, encode_data
from messaging.events import EventData
from messaging.handover import COLUMNS, Recorded, taker_of

KEEP = timedelta(days=7)


class EventTooLarge(ValueError):
    """A payload that does not fit in a message."""


def outbox_table(metadata: MetaData) -> Table:
    """The table ``outbox``. ``leased_until``: no relay may take the row before then."""
    table = Table(
        "outbox",
        metadata,
        Column("position", SequenceType, primary_key=True, autoincrement=True),
        Column("id", UlidType, nullable=False, unique=True),
        Column("type", String(100), nullable=False),
        Column("source", String(100), nullable=False),
        Column("subject", String(100), nullable=False),
        Column("time", UtcDateTime, nullable=False),
        Column("data", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        Column("traceparent", String(55)),
        Column("leased_until", UtcDateTime),
        Column("published_at", UtcDateTime),
        sqlite_autoincrement=True,
        **TABLE_OPTIONS,
    )
    unpublished = table.c.published_at.is_(None)
    Index(
        "ix_outbox_unpublished",
        table.c.published_at,
        table.c.position,
        postgresql_where=unpublished,
        sqlite_where=unpublished,
    )
    return table


async def record(
    tx: AsyncConnection, table: Table, source: str, data: Sequence[EventData], *, traceparent: str | None = None
) -> list[str]:
    """Record events of ``source`` (``/dure/orders``) in the caller's transaction; their ids, in the order given.

    The events belong to the trace of what caused the present work, unless ``traceparent`` says another one. After the
    commit they go to the relay, where it runs in this process. Raises EventTooLarge, with nothing recorded.
    """
    if not data:
        return []
    now = datetime.now(UTC)
    cause = telemetry.cause()
    events = [
        _recorded(source, each, now, traceparent or (cause.of(each.subject_id) if cause else None)) for each in data
    ]
    taker = taker_of(tx, table)
    leased = None if taker is None else taker.room()
    until = None if leased is None else now + leased
    await insert_rows(tx, table, [_row(each, until) for each in events])
    if taker is not None and leased is not None:
        after_commit(tx, lambda: taker.take(events))
    return [each.id for each in events]


def _recorded(source: str, data: EventData, now: datetime, traceparent: str | None) -> Recorded:
    payload = encode_data(data)
    if len(payload) > MAX_BYTES - ENVELOPE_BYTES:
        raise EventTooLarge(f"{data.type} of {data.subject_id}: {len(payload)} bytes")
    return Recorded(new_ulid(), data.type, source, data.subject_id, now, payload, traceparent, data)


def _row(event: Recorded, leased_until: datetime | None) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(COLUMNS, event, strict=False))
    row["data"] = event.data.decode()
    row["leased_until"] = leased_until
    return row


async def prune(tx: AsyncConnection, table: Table, *, keep: timedelta = KEEP) -> int:
    """Delete what was published longer than ``keep`` ago; how many. What is not published stays for ever."""
    result = await tx.execute(delete(table).where(table.c.published_at < datetime.now(UTC) - keep))
    return result.rowcount
