"""The inbox: which events a subgraph has handled, claimed in the transaction of their effect; and the dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text, delete
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import TABLE_OPTIONS
from db.columns import UlidType, UtcDateTime
from db.statements import claim_keys, insert_ignore

KEEP = timedelta(days=30)
"""Longer than any queue or outbox could deliver an event again."""


def inbox_table(metadata: MetaData) -> Table:
    """The table ``inbox``. ``claim``: which claim took the event, so that a claimer can tell its own from others'."""
    return Table(
        "inbox",
        metadata,
        Column("event_id", String(64), primary_key=True),
        Column("claim", UlidType, nullable=False),
        Column("received_at", UtcDateTime, nullable=False, index=True),
        **TABLE_OPTIONS,
    )


async def claim(tx: AsyncConnection, table: Table, event_ids: Iterable[str]) -> set[str]:
    """Claim events for this transaction; those that nobody had claimed before.

    An event that another transaction is claiming is waited for: claimed here if that one rolls back.
    """
    return await claim_keys(tx, table, event_ids, {"received_at": datetime.now(UTC)})


async def prune(tx: AsyncConnection, table: Table, *, keep: timedelta = KEEP) -> int:
    """Forget events received longer than ``keep`` ago; how many."""
    result = await tx.execute(delete(table).where(table.c.received_at < datetime.now(UTC) - keep))
    return result.rowcount


def dead_letter_table(metadata: MetaData) -> Table:
    """The table ``dead_letters``: what could not be handled, for a person to look at."""
    table = Table(
        "dead_letters",
        metadata,
        Column("event_id", String(64), primary_key=True),
        Column("type", String(100), nullable=False),
        Column("payload", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
        Column("error", Text(), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("died_at", UtcDateTime, nullable=False),
        **TABLE_OPTIONS,
    )
    Index("ix_dead_letters_died_at", table.c.died_at)
    return table


async def bury(
    tx: AsyncConnection, table: Table, *, event_id: str, type: str, payload: bytes, error: str, attempts: int
) -> None:
    """Keep an event (``payload``: its message, a batch in JSON) that cannot be handled. Burying it again is nothing."""
    row = {
        "event_id": event_id[:64],
        "type": type[:100],
        "payload": payload.decode("utf-8", "replace").replace("\0", "\ufffd"),
        "error": error[:4000].replace("\0", "\ufffd"),
        "attempts": attempts,
        "died_at": datetime.now(UTC),
    }
    await insert_ignore(tx, table, [row])
