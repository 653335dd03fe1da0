"""A picture's way from somebody's disk: he gets an address to send it to, it is checked and cleaned, and deleted when
nothing shows it. What shows it is the subgraph's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.session import Database
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.media.pictures import CONTENT_TYPES, MAX_BYTES, BadPicture, Picture, cleaned
from subgraphs.kit.media.store import LIFE, MediaStore, Missing, Target, TooLarge

UNUSED_LIFE = timedelta(days=1)
SETTLED = LIFE + timedelta(minutes=5)
"""An upload this old gets nothing any more: its address has ended, and whoever was checking it is done."""
BATCH = 50

Check = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A file that may be sent now."""

    id: str
    target: Target


class Uploads:
    """Uploads of one table, in one store.

    ``field``: the input that names uploads. ``side``: pictures are cut to squares of at most so many pixels a side.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        store: MediaStore,
        now: Callable[[], datetime],
        *,
        field: Sequence[str],
        max_unused: int,
        side: int | None = None,
    ) -> None:
        self._database = database
        self._table = table
        self._store = store
        self._now = now
        self._field = list(field)
        self._max_unused = max_unused
        self._side = side
        self._decoding = asyncio.Semaphore(2)

    async def create(self, owner_id: str, content_type: str, size: int, check: Check | None = None) -> NewUpload:
        """An address to send a picture to. ``check`` may refuse in the same transaction.

        Raises Rejected INVALID, or NOT_ALLOWED with too many unused ones.
        """
        if content_type not in CONTENT_TYPES.values():
            kinds = ", ".join(sorted(CONTENT_TYPES.values()))
            raise Rejected("INVALID", f"Pictures are of the types {kinds}.", ["contentType"])
        if not 1 <= size <= MAX_BYTES:
            raise Rejected("INVALID", f"A picture has 1 to {MAX_BYTES:,} bytes.", ["size"])
        id, now, table = new_ulid(), self._now(), self._table
        row = {"id": id, "owner_id": owner_id, "content_type": content_type, "status": "PENDING", "created_at": now}

        async def work(tx: AsyncConnection) -> None:
            if check is not None:
                await check(tx)
            unused = select(func.count()).where(table.c.owner_id == owner_id, table.c.status.in_(("PENDING", "READY")))
            if (await tx.execute(unused)).scalar_one() >= self._max_unused:
                raise Rejected("NOT_ALLOWED", "Use the pictures that you have uploaded first, or wait a day.")
            await tx.execute(insert(table), [row])

        await self._database.run(work)
        return NewUpload(id, await self._store.target(id, now))

    async def prepare(self, owner_id: str | None, ids: Sequence[str]) -> None:
        """Check what this owner has uploaded, before anything shows it (``fit`` says whether it may).

        Raises Rejected NOT_FOUND (nothing was sent) or INVALID.
        """
        mine = self._table.c.id.in_(ids) & (self._table.c.owner_id == owner_id)
        unused = self._table.c.status.in_(("PENDING", "READY"))
        async with self._database.read() as connection:
            rows = (await connection.execute(select(self._table).where(mine, unused))).all()
        for row in rows:
            if row.status == "PENDING":
                await self._check(row)
            else:  # killed in the middle, or sent once more
                await self._store.discard([f"uploads/{row.id}"])

    async def _check(self, row: Any) -> None:
        try:
            data = await self._store.uploaded(row.id, MAX_BYTES)
            async with self._decoding:
                picture = await asyncio.to_thread(cleaned, data, row.content_type, self._side)
        except Missing:
            if await self._is_ready(row.id):
                return  # checked by another request meanwhile
            raise Rejected("NOT_FOUND", "Nothing was sent to this upload yet.", self._field) from None
        except TooLarge:
            raise Rejected("INVALID", f"A picture has at most {MAX_BYTES:,} bytes.", self._field) from None
        except BadPicture as bad:
            raise Rejected("INVALID", str(bad), self._field) from None
        await self._publish(row.id, picture)

    async def _publish(self, id: str, picture: Picture) -> None:
        # Under another name than it was sent to: an address to upload to is good for a while, what was checked is not
        # to be replaced.
        url = await self._store.publish(f"{id}.{picture.extension}", picture.data, picture.content_type)
        failpoint("media.after_publish")
        ready = {"status": "READY", "url": url, "width": picture.width, "height": picture.height}
        pending = update(self._table).where(self._table.c.id == id, self._table.c.status == "PENDING")
        await self._database.run(lambda tx: tx.execute(pending.values(ready)))
        failpoint("media.after_check")
        # What was sent may say where it was taken: nobody needs it any more.
        await self._store.discard([f"uploads/{id}"])

    async def _is_ready(self, id: str) -> bool:
        query = select(self._table.c.status).where(self._table.c.id == id)
        async with self._database.transaction() as connection:  # a replica may not know yet
            return (await connection.execute(query)).scalar() in ("READY", "USED")

    async def collect(self) -> int:
        """Delete what nobody has used within a day, or uses any more; how many uploads."""
        now, table = self._now(), self._table
        unused = table.c.status.in_(("PENDING", "READY")) & (table.c.created_at < now - UNUSED_LIFE)
        await self._database.run(lambda tx: tx.execute(update(table).where(unused).values(status="DROPPED")))
        dropped = select(table.c.id, table.c.content_type).where(
            table.c.status == "DROPPED", table.c.created_at < now - SETTLED
        )
        collected = 0
        while True:
            async with self._database.read() as connection:
                rows = (await connection.execute(dropped.order_by(table.c.created_at).limit(BATCH))).all()
            await self._delete(rows)
            collected += len(rows)
            if len(rows) < BATCH:
                return collected

    async def _delete(self, rows: Sequence[Any]) -> None:
        # The files first: killed here, the rows are still there to try again.
        endings = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
        for row in rows:
            await self._store.discard([f"uploads/{row.id}", f"pictures/{row.id}.{endings[row.content_type]}"])
        failpoint("media.after_discard")
        gone = delete(self._table).where(self._table.c.id.in_([row.id for row in rows]))
        await self._database.run(lambda tx: tx.execute(gone.where(self._table.c.status == "DROPPED")))


def fit(row: Any, owner_id: str | None) -> bool:
    """Whether this row of an upload (or none) is its owner's and may be shown."""
    return row is not None and row.owner_id == owner_id and row.status in ("READY", "USED")
