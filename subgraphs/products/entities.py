"""The entities of products, found in batches by either of their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import strawberry

from subgraphs.kit.entities import Representation, Resolve
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.rows import OneRow
from subgraphs.products import types
from subgraphs.products.loaders import Context

Visible = Callable[[Any, Context], Any]


def resolvers() -> Mapping[str, Resolve]:
    """For each entity type of the schema the function that resolves representations of it."""
    return {
        "Product": products,
        "ProductVariant": variants,
        "SellingPlan": _by_id("SellingPlan", lambda context: context.plans, types.plan_of),
        "Category": _by_id("Category", lambda context: context.categories, types.category_of),
        "Nutrient": _by_id("Nutrient", lambda context: context.nutrients, types.nutrient_of),
        "Review": _by_id("Review", lambda context: context.reviews, types.review_of),
        "User": _stubs("User", lambda given: types.User(id=given)),
        "Partner": _stubs("Partner", lambda given: types.Partner(id=given)),
    }


async def products(representations: Sequence[Representation], context: Context) -> list[Any]:
    """Products by id or slug: those that the caller sees, and those that once were public, for old orders."""
    rows = await _rows(representations, "Product", context.products, "slug", context.products_by_slug)
    who = await context.viewer()
    return [types.product_of(row) if row is not None and who.may_refer_to(row) else None for row in rows]


async def variants(representations: Sequence[Representation], context: Context) -> list[Any]:
    """Variants by id or SKU, of products that the caller may refer to; withdrawn ones too."""
    rows = await _rows(representations, "ProductVariant", context.variants, "sku", context.variants_by_sku)
    ids = sorted({row.product_id for row in rows if row is not None})
    owners = dict(zip(ids, await context.products.load_many(ids), strict=True))
    who = await context.viewer()
    return [
        types.variant_of(row) if row is not None and who.may_refer_to(owners[row.product_id]) else None for row in rows
    ]


async def _rows(
    given: Sequence[Representation], type_name: str, by_id: OneRow, other: str, by_other: OneRow
) -> list[Any]:
    """The row of each representation by whichever key it carries; both keys together must agree."""
    ids = [_ulid(type_name, each.get("id")) for each in given]
    others = [each.get(other) if isinstance(each.get(other), str) else None for each in given]
    found_by_id = await _load(by_id, [each for each in ids if each])
    found_by_other = await _load(by_other, [key for ulid, key in zip(ids, others, strict=True) if key and not ulid])
    return [
        found_by_id.get(ulid) if ulid else found_by_other.get(key or "") if "id" not in each else None
        for each, ulid, key in zip(given, ids, others, strict=True)
    ]


async def _load(loader: OneRow, keys: Sequence[str]) -> dict[str, Any]:
    wanted = sorted(set(keys))
    return dict(zip(wanted, await loader.load_many(wanted), strict=True)) if wanted else {}


def _by_id(type_name: str, loader: Callable[[Context], OneRow], build: Callable[[Any], Any]) -> Resolve:
    async def resolve(representations: Sequence[Representation], context: Context) -> list[Any]:
        ids = [_ulid(type_name, each.get("id")) for each in representations]
        rows = await _load(loader(context), [each for each in ids if each])
        return [build(rows[ulid]) if ulid and rows[ulid] is not None else None for ulid in ids]

    return resolve


def _stubs(type_name: str, build: Callable[[strawberry.ID], Any]) -> Resolve:
    """Entities that others own: here they carry what products adds to them, whether they exist is not known."""

    async def resolve(representations: Sequence[Representation], _context: Context) -> list[Any]:
        ids = [_ulid(type_name, each.get("id")) for each in representations]
        return [build(strawberry.ID(global_id(type_name, ulid))) if ulid else None for ulid in ids]

    return resolve


def _ulid(type_name: str, given: Any) -> str | None:
    parsed = parse_id(given) if isinstance(given, str) else None
    return parsed[1] if parsed is not None and parsed[0] == type_name else None
