"""Which variants can be bought, and telling the others what a variant is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.prepared import Prepared
from messaging.events.products import ProductChanged, VariantChanged
from messaging.outbox import record
from subgraphs.products.domain import ProductStatus
from subgraphs.products.models import PartnerCopy, Product, ProductVariant, outbox

SOURCE = "/dure/products"
PRODUCT = Product.__table__
VARIANT = ProductVariant.__table__
PARTNER = PartnerCopy.__table__
CHUNK = 500


def sells() -> ColumnElement[bool]:
    """The product's seller is the platform itself or an active partner (``PARTNER`` is outer-joined)."""
    return or_(PRODUCT.c.partner_id.is_(None), and_(PARTNER.c.status.is_not(None), PARTNER.c.status == "ACTIVE"))


def purchasable() -> ColumnElement[bool]:
    """The one definition of what can be bought."""
    return and_(PRODUCT.c.status == ProductStatus.PUBLISHED.value, VARIANT.c.withdrawn.is_(False), sells())


_JOINED = VARIANT.join(PRODUCT, PRODUCT.c.id == VARIANT.c.product_id).outerjoin(
    PARTNER, PARTNER.c.partner_id == PRODUCT.c.partner_id
)


_PURCHASABLE = Prepared(select(VARIANT.c.id, purchasable()).select_from(_JOINED).where(among(VARIANT.c.id, "variants")))
"""What can be bought is a column, not a condition: SQLite would begin with all products that are published."""


async def purchasable_variants(tx: AsyncConnection, variant_ids: Iterable[str]) -> set[str]:
    """Those of the variants that can be bought."""
    wanted = sorted(set(variant_ids))
    found: set[str] = set()
    for start in range(0, len(wanted), CHUNK):
        rows = await _PURCHASABLE.rows(tx, variants=wanted[start : start + CHUNK])
        found |= {variant for variant, good in rows if good}
    return found


async def announce_variants(tx: AsyncConnection, variant_ids: Sequence[str]) -> None:
    """Record VariantChanged, as they are now, for the given variants. Wake the relay after the commit."""
    wanted = sorted(set(variant_ids))
    for start in range(0, len(wanted), CHUNK):
        query = (
            select(
                VARIANT,
                PRODUCT.c.name.label("product_name"),
                PRODUCT.c.partner_id,
                purchasable().label("purchasable"),
            )
            .select_from(_JOINED)
            .where(VARIANT.c.id.in_(wanted[start : start + CHUNK]))
            .order_by(VARIANT.c.id)
        )
        rows = (await tx.execute(query)).all()
        await record(tx, outbox, SOURCE, [_event(row) for row in rows])


async def product_changed(tx: AsyncConnection, product_id: str) -> None:
    """Tell those who keep the product's page that it is old. Wake the relay after the commit."""
    await record(tx, outbox, SOURCE, [ProductChanged(product_id=product_id)])


async def variants_changed(tx: AsyncConnection, *which: ColumnElement[bool]) -> list[str]:
    """Give the variants a new version and announce them; their ids. Call it after the change that it tells."""
    query = select(VARIANT.c.id).select_from(_JOINED).where(*which).order_by(VARIANT.c.id)
    ids = list((await tx.execute(query)).scalars())
    for start in range(0, len(ids), CHUNK):
        chunk = VARIANT.c.id.in_(ids[start : start + CHUNK])
        await tx.execute(update(VARIANT).where(chunk).values(version=VARIANT.c.version + 1))
    await announce_variants(tx, ids)
    return ids


def _event(row: Row[Any]) -> VariantChanged:
    return VariantChanged(
        variant_id=row.id,
        version=row.version,
        product_id=row.product_id,
        sku=row.sku,
        product_name=row.product_name,
        variant_name=row.name,
        price=row.price,
        currency=row.currency,
        weight_grams=row.weight_grams,
        shipping_profile_id=row.shipping_profile_id,
        purchasable=bool(row.purchasable),
        partner_id=row.partner_id,
        purchase_limit=row.purchase_limit,
    )
