"""Pictures shown with a product."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.kit.media.uploads import fit
from subgraphs.products.media.models import uploads
from subgraphs.products.models import ProductMedia

MEDIA = ProductMedia.__table__
WRITE_SCOPE = "products:write"
FIELD = ("input", "mediaUploadIds")
MAX_UNUSED = 50


async def attach(tx: AsyncConnection, product_id: str, owner_id: str | None, ids: Sequence[str]) -> None:
    """Show these uploads, in this order and no others, with a product. Raises Rejected NOT_FOUND or NOT_ALLOWED."""
    query = select(uploads).where(uploads.c.id.in_(ids)).order_by(uploads.c.id).with_for_update()
    rows = {row.id: row for row in await tx.execute(query)}
    for id in ids:
        row = rows.get(id)
        here = row is not None and row.status == "USED" and row.product_id == product_id
        if not (here or fit(row, owner_id)):
            raise Rejected("NOT_FOUND", "No upload of yours that is fit to be shown has this id.", FIELD)
        if rows[id].status == "USED" and not here:
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
