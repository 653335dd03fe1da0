"""Idempotency keys: the same key and input give the same answer, the same key with other input is a conflict.

The key is claimed in the transaction of its effect, so a second request waits for the first at the unique key and
then sees its answer; a refused command leaves no trace of its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Column, MetaData, String, Table, Text, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import TABLE_OPTIONS
from db.bulk import update_rows
from db.columns import UtcDateTime
from db.statements import insert_ignore
from subgraphs.kit.errors import Rejected

MAX_KEY_LENGTH = 255
KEEP = timedelta(days=15)


def idempotency_table(metadata: MetaData) -> Table:
    """The table to define once in a subgraph's models."""
    return Table(
        "idempotency_key",
        metadata,
        Column("scope", String(100), primary_key=True),
        Column("key", String(MAX_KEY_LENGTH), primary_key=True),
        Column("claim", String(26), nullable=False),
        Column("request_hash", String(64), nullable=False),
        Column("answer", Text, nullable=True),
        Column("created_at", UtcDateTime, nullable=False, index=True),
        **TABLE_OPTIONS,
    )


class InFlight(Exception):
    """Two commands of one transaction carry the same key."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command's key. ``scope`` is who asks for what (``<user id>:orderCreate``), ``body`` its JSON-able input.

    ``claim`` is an id minted for this attempt: it tells whether this attempt or an earlier one holds the key.
    """

    scope: str
    key: str
    body: Any
    claim: str

    @property
    def request_hash(self) -> str:
        return hashlib.sha256(orjson.dumps(self.body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_key(key: str) -> str:
    """Raises Rejected INVALID for an empty or overlong key, or one that cannot be printed."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        message = f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable characters."
        raise Rejected("INVALID", message, ["idempotencyKey"])
    return key


async def claim(
    tx: AsyncConnection, table: Table, requests: Sequence[Request], answers: Sequence[Any] = ()
) -> list[Any | Rejected | None]:
    """For each request: None (it is the first, go on), the earlier answer, or Rejected IDEMPOTENCY_CONFLICT.

    ``answers``: what each will be answered if it succeeds, where that is known before; otherwise call ``answer``.
    Raises InFlight when a key stands twice in ``requests``: roll back and run them one by one (GroupCommit does).
    """
    now = datetime.now(UTC)
    known: Sequence[str | None] = [orjson.dumps(each).decode() for each in answers] or [None] * len(requests)
    rows = [
        {
            "scope": request.scope,
            "key": check_key(request.key),
            "claim": request.claim,
            "request_hash": request.request_hash,
            "answer": answer,
            "created_at": now,
        }
        for request, answer in sorted(zip(requests, known, strict=True), key=lambda each: (each[0].scope, each[0].key))
    ]
    if await insert_ignore(tx, table, rows) == len(rows):
        return [None] * len(requests)
    keys = [(request.scope, request.key) for request in requests]
    query = select(table).where(tuple_(table.c.scope, table.c.key).in_(keys))
    held = {(row.scope, row.key): row for row in await tx.execute(query)}
    claims = {request.claim for request in requests}
    return [_verdict(request, held[request.scope, request.key], claims) for request in requests]


async def claim_one(tx: AsyncConnection, table: Table, request: Request) -> Any | None:
    """The same for one request: None (it is the first, go on) or the earlier answer. Raises Rejected."""
    (earlier,) = await claim(tx, table, [request])
    if isinstance(earlier, Rejected):
        raise earlier
    return earlier


def _verdict(request: Request, row: Any, claims: set[str]) -> Any | Rejected | None:
    if row.claim == request.claim:
        return None
    if row.claim in claims:
        raise InFlight(request.key)
    if row.request_hash != request.request_hash:
        return Rejected("IDEMPOTENCY_CONFLICT", "This key was used with other input.", ["idempotencyKey"])
    if row.answer is None:
        raise InFlight(request.key)
    return orjson.loads(row.answer)


async def answer(tx: AsyncConnection, table: Table, answers: Sequence[tuple[Request, Any]]) -> None:
    """Keep what was answered, JSON-able, in the transaction that did it."""
    if not answers:
        return
    rows = [
        {"scope": request.scope, "key": request.key, "answer": orjson.dumps(given).decode()}
        for request, given in answers
    ]
    await update_rows(tx, table, rows, where=["scope", "key"])


async def prune(tx: AsyncConnection, table: Table, now: datetime) -> None:
    """Forget keys older than 15 days."""
    await tx.execute(delete(table).where(table.c.created_at < now - KEEP))
