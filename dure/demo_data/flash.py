"""A flash sale to try: it opens soon after the shop was first started."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dure.demo_data.catalogue import Item, items
from dure.demo_data.ids import ulid_of
from subgraphs.products.domain import StockMovementType
from subgraphs.products.flash import models
from subgraphs.products.settings import Settings
from subgraphs.products.stock_ledger import Change, apply, lock_levels

SALE_ID = ulid_of("flash-sale", "opening")
ITEM_ID = ulid_of("flash-sale-item", "opening")
OPENS_AFTER = timedelta(minutes=2)
LASTS = timedelta(days=7)
UNITS = 20


def offered() -> Item:
    """What is sold: the first thing of the catalogue that supplements and coffee are not, with enough in stock."""
    return next(item for item in items() if item.type == "GENERAL" and item.variants[0].on_hand > 2 * UNITS)


async def put_up(tx: AsyncConnection, now: datetime) -> None:
    """The sale, at half the price, with its units reserved from the stock as any sale's are."""
    item = offered()
    variant = item.variants[0]
    sale = {
        "id": SALE_ID,
        "partner_id": item.seller.id,
        "name": f"오픈 기념 선착순 (Opening sale): {item.name}"[:200],
        "starts_at": now + OPENS_AFTER,
        "ends_at": now + LASTS,
        "admission_rate": Settings().flash_rate_start,
        "created_at": now,
    }
    units = {"total_quantity": UNITS, "remaining": UNITS, "per_customer_limit": 1}
    price = {"sale_price": variant.price // 2 // 100 * 100, "currency": "KRW"}
    await tx.execute(insert(models.sales), [sale])
    await tx.execute(
        insert(models.items), [{"id": ITEM_ID, "sale_id": SALE_ID, "variant_id": variant.id, **units, **price}]
    )
    held = Change(variant.id, StockMovementType.RESERVED, UNITS, reserved=UNITS, cause_id=ITEM_ID, reason="flash sale")
    await apply(tx, await lock_levels(tx, [variant.id]), [held], now)
