"""Writes the search index: the grams of everything that a product is looked for by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.products.models import (
    Category,
    Nutrient,
    PartnerCopy,
    Product,
    ProductAttribute,
    ProductCategory,
    ProductGram,
    ProductNutrient,
)
from subgraphs.products.text import weighted_grams

NAME, TOPIC, ATTRIBUTE, DESCRIPTION = 20, 6, 3, 1
"""What a match in a text of this kind says."""

PRODUCT, GRAM = Product.__table__, ProductGram.__table__
CHUNK = 200


async def index_products(tx: AsyncConnection, product_ids: Sequence[str]) -> None:
    """Index the products anew, as their rows are now."""
    for start in range(0, len(product_ids), CHUNK):
        await _index(tx, product_ids[start : start + CHUNK])


async def _index(tx: AsyncConnection, product_ids: Sequence[str]) -> None:
    partner = PartnerCopy.__table__
    query = (
        select(PRODUCT.c.id, PRODUCT.c.name, PRODUCT.c.description, partner.c.name.label("seller"))
        .outerjoin(partner, partner.c.partner_id == PRODUCT.c.partner_id)
        .where(PRODUCT.c.id.in_(product_ids))
    )
    products = (await tx.execute(query)).all()
    topics = await _names(tx, ProductCategory.__table__, Category.__table__, "category_id", product_ids)
    nutrients = await _names(tx, ProductNutrient.__table__, Nutrient.__table__, "nutrient_id", product_ids)
    attributes: dict[str, list[str]] = defaultdict(list)
    attribute = ProductAttribute.__table__
    for row in await tx.execute(select(attribute).where(attribute.c.product_id.in_(product_ids))):
        attributes[row.product_id].append(row.value)
    await tx.execute(delete(GRAM).where(GRAM.c.product_id.in_(product_ids)))
    rows = []
    for product in products:
        about = [*topics[product.id], *nutrients[product.id], product.seller or ""]
        fields = [
            (product.name, NAME),
            (" ".join(about), TOPIC),
            (" ".join(attributes[product.id]), ATTRIBUTE),
            (product.description or "", DESCRIPTION),
        ]
        grams = weighted_grams(fields)
        rows += [{"gram": gram, "product_id": product.id, "weight": weight} for gram, weight in grams.items()]
    if rows:
        await tx.execute(insert(GRAM), rows)


async def _names(
    tx: AsyncConnection, link: Table, target: Table, column: str, product_ids: Sequence[str]
) -> dict[str, list[str]]:
    query = (
        select(link.c.product_id, target.c.name)
        .join(target, target.c.id == link.c[column])
        .where(link.c.product_id.in_(product_ids))
    )
    names: dict[str, list[str]] = defaultdict(list)
    for row in await tx.execute(query):
        names[row.product_id].append(row.name)
    return names
