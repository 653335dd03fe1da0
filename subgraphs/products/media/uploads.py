"""Use cases of uploads: a seller gets an address to send a picture to, shows it with a product, or leaves it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.products.media.models import uploads
from subgraphs.products.media.pictures import CONTENT_TYPES, MAX_BYTES, BadPicture, cleaned
from subgraphs.products.media.store import MediaStore, Missing, Target, TooLarge
from subgraphs.products.models import ProductMedia
from subgraphs.products.shop import Shop

MEDIA = ProductMedia.__table__
WRITE_SCOPE = "products:write"
FIELD = ["input", "mediaUploadIds"]
MAX_UNUSED = 50
UNUSED_LIFE = timedelta(days=1)
BATCH = 50


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A file that may be sent now."""

    id: str
    target: Target


class Uploads:
    """Uploads of the shop, in its store."""

    def __init__(self, shop: Shop, store: MediaStore) -> None:
        self._shop = shop
        self._store = store
        self._decoding = asyncio.Semaphore(2)

    async def create(self, identity: Identity, content_type: str, size: int) -> NewUpload:
        """An address to send a picture to. Raises Rejected INVALID, or NOT_ALLOWED with too many unused ones."""
        identity.require_scope(WRITE_SCOPE)
        if content_type not in CONTENT_TYPES.values():
            kinds = ", ".join(sorted(CONTENT_TYPES.values()))
            raise Rejected("INVALID", f"Pictures are of the types {kinds}.", ["contentType"])
        if not 1 <= size <= MAX_BYTES:
            raise Rejected("INVALID", f"A picture has 1 to {MAX_BYTES:,} bytes.", ["size"])
        owner, now = identity.require_user(), self._shop.now()
        row = {
            "id": new_ulid(),
            "owner_id": owner,
            "content_type": content_type,
            "status": "PENDING",
            "created_at": now,
        }

        async def work(tx: AsyncConnection) -> None:
            unused = select(func.count()).where(uploads.c.owner_id == owner, uploads.c.status.in_(("PENDING", "READY")))
            if (await tx.execute(unused)).scalar_one() >= MAX_UNUSED:
                raise Rejected("NOT_ALLOWED", "Use the pictures that you have uploaded first, or wait a day.")
            await tx.execute(insert(uploads), [row])

        await self._shop.write(work)
        return NewUpload(str(row["id"]), await self._store.target(str(row["id"]), now))

    async def prepare(self, identity: Identity, ids: Sequence[str]) -> None:
        """Check what the caller has uploaded, before a product shows it (``attach`` says whether it may).

        Raises Rejected NOT_FOUND (nothing was sent) or INVALID.
        """
        identity.require_scope(WRITE_SCOPE)
        mine = uploads.c.id.in_(ids) & (uploads.c.owner_id == identity.user_id)
        async with self._shop.database.read() as connection:
            rows = (await connection.execute(select(uploads).where(mine, uploads.c.status == "PENDING"))).all()
        for row in rows:
            await self._check(row)

    async def _check(self, row: Any) -> None:
        try:
            data = await self._store.uploaded(row.id, MAX_BYTES)
            async with self._decoding:
                picture = await asyncio.to_thread(cleaned, data, row.content_type)
        except Missing:
            raise Rejected("NOT_FOUND", "Nothing was sent to this upload yet.", FIELD) from None
        except TooLarge:
            raise Rejected("INVALID", f"A picture has at most {MAX_BYTES:,} bytes.", FIELD) from None
        except BadPicture as bad:
            raise Rejected("INVALID", str(bad), FIELD) from None
        # Under another name than it was sent to: an address to upload to is good for a while, what was checked is not
        # to be replaced.
        url = await self._store.publish(f"{row.id}.{picture.extension}", picture.data, picture.content_type)
        failpoint("products.media.after_publish")
        ready = {"status": "READY", "url": url, "width": picture.width, "height": picture.height}
        pending = update(uploads).where(uploads.c.id == row.id, uploads.c.status == "PENDING")
        await self._shop.write(lambda tx: tx.execute(pending.values(ready)))

    async def collect(self) -> int:
        """Delete what nobody has used within a day, or uses any more; how many uploads."""
        old = self._shop.now() - UNUSED_LIFE
        stale = update(uploads).where(uploads.c.status.in_(("PENDING", "READY")), uploads.c.created_at < old)
        await self._shop.write(lambda tx: tx.execute(stale.values(status="DROPPED")))
        dropped = select(uploads.c.id, uploads.c.content_type).where(uploads.c.status == "DROPPED").limit(BATCH)
        async with self._shop.database.read() as connection:
            rows = (await connection.execute(dropped)).all()
        # The files first: killed here, the rows are still there to try again.
        endings = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
        for row in rows:
            await self._store.discard([f"uploads/{row.id}", f"pictures/{row.id}.{endings[row.content_type]}"])
        failpoint("products.media.after_discard")
        gone = delete(uploads).where(uploads.c.id.in_([row.id for row in rows]), uploads.c.status == "DROPPED")
        await self._shop.write(lambda tx: tx.execute(gone))
        return len(rows)


async def attach(tx: AsyncConnection, product_id: str, owner_id: str | None, ids: Sequence[str]) -> None:
    """Show these uploads, in this order and no others, with a product. Raises Rejected NOT_FOUND or NOT_ALLOWED."""
    query = select(uploads).where(uploads.c.id.in_(ids)).order_by(uploads.c.id).with_for_update()
    rows = {row.id: row for row in await tx.execute(query)}
    for id in ids:
        row = rows.get(id)
        here = row is not None and row.status == "USED" and row.product_id == product_id
        if row is None or not (here or row.owner_id == owner_id) or row.status in ("PENDING", "DROPPED"):
            raise Rejected("NOT_FOUND", "No upload of yours that is fit to be shown has this id.", FIELD)
        if row.status == "USED" and not here:
            raise Rejected("NOT_ALLOWED", "An upload is shown with one product only.", FIELD)
    shown = uploads.c.product_id == product_id
    no_more = update(uploads).where(shown, uploads.c.status == "USED", uploads.c.id.not_in(ids))
    await tx.execute(no_more.values(status="DROPPED", product_id=None))
    await tx.execute(update(uploads).where(uploads.c.id.in_(ids)).values(status="USED", product_id=product_id))
    await tx.execute(delete(MEDIA).where(MEDIA.c.product_id == product_id))
    media = [
        {"product_id": product_id, "position": position, "url": rows[id].url, "alt": None, "type": "IMAGE"}
        for position, id in enumerate(ids)
    ]
    if media:
        await tx.execute(insert(MEDIA), media)
