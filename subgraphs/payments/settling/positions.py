"""How far the books are read: by ids, which sort by the time they were made."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from subgraphs.payments.models import bookkeeping


async def held_position(tx: AsyncConnection, name: str) -> str:
    """How far this reader is; locked, so that one of them works at a time."""
    query = select(bookkeeping.c.position).where(bookkeeping.c.name == name).with_for_update()
    found = (await tx.execute(query)).scalar_one_or_none()
    if found is None:
        await insert_ignore(tx, bookkeeping, [{"name": name, "position": ""}])
        found = (await tx.execute(query)).scalar_one()
    return str(found)


async def move_position(tx: AsyncConnection, name: str, position: str) -> None:
    """It has read so far."""
    await tx.execute(update(bookkeeping).where(bookkeeping.c.name == name).values(position=position))
