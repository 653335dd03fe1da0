"""Rows that did not come through a use case (demo data, a migration from another shop): derive what depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.products.models import Product, ProductVariant, Review
from subgraphs.products.purchasable import announce_variants
from subgraphs.products.search_index import index_products

PRODUCT, VARIANT, REVIEW = Product.__table__, ProductVariant.__table__, Review.__table__
CHUNK = 500


async def products_imported(tx: AsyncConnection, product_ids: Sequence[str]) -> None:
    """For products whose rows stand: price ranges, ratings, the search index, and VariantChanged for every variant.

    Levels are opened by ``stock_ledger.open_levels``. Doing it again changes nothing but announces again.
    """
    for start in range(0, len(product_ids), CHUNK):
        chunk = product_ids[start : start + CHUNK]
        await _derive_prices(tx, chunk)
        await _derive_ratings(tx, chunk)
        await index_products(tx, chunk)
        variants = select(VARIANT.c.id).where(VARIANT.c.product_id.in_(chunk))
        await announce_variants(tx, list((await tx.execute(variants)).scalars()))


async def _derive_prices(tx: AsyncConnection, product_ids: Sequence[str]) -> None:
    query = (
        select(VARIANT.c.product_id, func.min(VARIANT.c.price).label("low"), func.max(VARIANT.c.price).label("high"))
        .where(VARIANT.c.product_id.in_(product_ids), VARIANT.c.withdrawn.is_(False))
        .group_by(VARIANT.c.product_id)
    )
    rows = [{"b_id": row.product_id, "b_low": row.low, "b_high": row.high} for row in await tx.execute(query)]
    await _update(tx, {"min_price": bindparam("b_low"), "max_price": bindparam("b_high")}, rows)


async def _derive_ratings(tx: AsyncConnection, product_ids: Sequence[str]) -> None:
    query = (
        select(REVIEW.c.product_id, func.sum(REVIEW.c.rating).label("total"), func.count().label("number"))
        .where(REVIEW.c.product_id.in_(product_ids))
        .group_by(REVIEW.c.product_id)
    )
    rows = [
        {
            "b_id": row.product_id,
            "b_total": int(row.total),
            "b_count": row.number,
            "b_average": int(row.total) * 100 // row.number,
        }
        for row in await tx.execute(query)
    ]
    changes: dict[str, Any] = {
        "rating_total": bindparam("b_total"),
        "rating_count": bindparam("b_count"),
        "rating_average": bindparam("b_average"),
    }
    await _update(tx, changes, rows)


async def _update(tx: AsyncConnection, changes: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(update(PRODUCT).where(PRODUCT.c.id == bindparam("b_id")).values(changes), rows)
