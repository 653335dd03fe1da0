"""Finding published products: the conditions of a search, its pages and its facets. Always what the tables say now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, Table, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import after
from subgraphs.kit.ids import global_id
from subgraphs.products import models, text
from subgraphs.products.domain import ProductStatus
from subgraphs.products.purchasable import PARTNER, PRODUCT, VARIANT, sells
from subgraphs.products.stock_ledger import LEVEL

GRAM = models.ProductGram.__table__
IN_CATEGORY = models.ProductCategory.__table__
HAS_NUTRIENT = models.ProductNutrient.__table__
ATTRIBUTE = models.ProductAttribute.__table__
PLAN = models.ProductSellingPlan.__table__
FACET_VALUES = 50
MAX_BOUND = 10**15
"""More than any price in minor units and any nutrient amount in millionths."""


class ProductSort(Enum):
    RELEVANCE = "RELEVANCE"
    NEWEST = "NEWEST"
    PRICE_ASC = "PRICE_ASC"
    PRICE_DESC = "PRICE_DESC"
    BEST_SELLING = "BEST_SELLING"
    RATING = "RATING"


@dataclass(frozen=True, slots=True)
class Filter:
    """All given parts hold at once. None: not asked; empty: nothing matches.

    ``category_ids`` come with their descendants. One of ``category_ids`` and ``partner_ids`` is enough; of
    ``nutrient_ids`` a product has all, and of ``attributes`` one value for each name. Price and stock are those of one
    and the same variant. Prices are minor units, ``rating_min`` hundredths of a star. ``nutrient_amounts``: nutrient,
    least and most in millionths of its unit; all of them hold.
    """

    category_ids: Sequence[str] | None = None
    nutrient_ids: Sequence[str] | None = None
    nutrient_amounts: Sequence[tuple[str, int | None, int | None]] | None = None
    partner_ids: Sequence[str] | None = None
    attributes: Sequence[tuple[str, Sequence[str]]] | None = None
    price_min: int | None = None
    price_max: int | None = None
    in_stock_only: bool = False
    subscribable_only: bool = False
    rating_min: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """One search. ``words`` are those of the query; a query without a usable word finds nothing."""

    query: str | None
    filter: Filter
    sort: ProductSort


@dataclass(frozen=True, slots=True)
class FacetCount:
    value: str
    label: str
    count: int
    selected: bool


@dataclass(frozen=True, slots=True)
class FacetCounts:
    key: str
    label: str
    values: Sequence[FacetCount]


def scaled_bound(amount: Decimal | None, exponent: int, *, upper: bool) -> int | None:
    """A bound in whole units of 10^-``exponent``, cut to what can be kept: a bound may lie between two units."""
    if amount is None or amount.is_nan():
        return None
    if not -15 <= amount.adjusted() <= 15 or not amount.is_finite():
        return MAX_BOUND if amount > 1 else 0
    scaled = amount.scaleb(exponent)
    whole = int(scaled)
    return max(-MAX_BOUND, min(whole if scaled == whole or upper else whole + 1, MAX_BOUND))


async def page(
    connection: AsyncConnection, search: Search, first: int, position: Sequence[Any] | None
) -> Sequence[Row[Any]]:
    """Up to ``first`` + 1 product rows, each with its ``sort_key``, after ``position`` (sort key and id)."""
    query, key = _base(search)
    descending = search.sort is not ProductSort.PRICE_ASC
    columns: list[ColumnElement[Any]] = [key, PRODUCT.c.id]
    if position is not None:
        value = datetime.fromisoformat(position[0]) if search.sort is ProductSort.NEWEST else position[0]
        query = query.where(after(columns, [value, position[1]], descending=descending))
    ordered = [column.desc() if descending else column.asc() for column in columns]
    rows: Sequence[Row[Any]] = (await connection.execute(query.order_by(*ordered).limit(first + 1))).all()
    return rows


def position_of(row: Row[Any]) -> list[Any]:
    """Where a row stands, JSON-able."""
    key = row.sort_key
    if isinstance(key, datetime):
        key = key.astimezone(UTC).isoformat()
    return [key if isinstance(key, str) else int(key), row.id]


async def corrected(connection: AsyncConnection, query: str, nearest: Callable[[str], str | None]) -> str | None:
    """The query with each word that no product has replaced by the nearest that some product has.

    None when every word is somebody's, or when a word has nothing near.
    """
    words = text.query_words(query)
    found = []
    for word in words:
        match = _word_matches(text.word_grams(word))
        known = (await connection.execute(select(match.c.product_id).limit(1))).first() is not None
        found.append(word if known else nearest(word))
    return None if found == words or None in found else " ".join(word for word in found if word)


async def count(connection: AsyncConnection, search: Search) -> int:
    """How many products the search finds."""
    query, _ = _base(search)
    found = query.with_only_columns(PRODUCT.c.id).order_by(None).subquery()
    return int((await connection.execute(select(func.count()).select_from(found))).scalar_one())


def _base(search: Search, *, without: str | None = None) -> tuple[Select[Any], ColumnElement[Any]]:
    matches = _matches(search.query)
    source = PRODUCT.outerjoin(PARTNER, PARTNER.c.partner_id == PRODUCT.c.partner_id)
    if matches is not None:
        source = source.join(matches, matches.c.product_id == PRODUCT.c.id)
    keys: dict[ProductSort, ColumnElement[Any]] = {
        ProductSort.RELEVANCE: PRODUCT.c.sold_count if matches is None else matches.c.score,
        ProductSort.NEWEST: PRODUCT.c.published_at,
        ProductSort.PRICE_ASC: PRODUCT.c.min_price,
        ProductSort.PRICE_DESC: PRODUCT.c.min_price,
        ProductSort.BEST_SELLING: PRODUCT.c.sold_count,
        ProductSort.RATING: PRODUCT.c.rating_average,
    }
    key = keys[search.sort]
    query = select(PRODUCT, key.label("sort_key")).select_from(source)
    query = query.where(PRODUCT.c.status == ProductStatus.PUBLISHED.value, sells())
    return query.where(*_conditions(search.filter, without)), key


def _matches(query: str | None) -> Subquery | None:
    """Products that have every word of the query, with how well they fit. None: nothing was asked."""
    if query is None or not query.strip():
        return None
    parts = [_word_matches(grams) for grams in text.query_grams(query)]
    if not parts:
        return select(GRAM.c.product_id, literal(0).label("score")).where(literal(1) == 0).subquery()
    source: Any = parts[0]
    score: ColumnElement[Any] = parts[0].c.score
    for part in parts[1:]:
        source = source.join(part, part.c.product_id == parts[0].c.product_id)
        score = score + part.c.score
    return select(parts[0].c.product_id, score.label("score")).select_from(source).subquery()


def _word_matches(grams: set[str]) -> Subquery:
    return (
        select(GRAM.c.product_id, func.sum(GRAM.c.weight).label("score"))
        .where(GRAM.c.gram.in_(sorted(grams)))
        .group_by(GRAM.c.product_id)
        .having(func.count() == len(grams))
        .subquery()
    )


def _conditions(wanted: Filter, without: str | None = None) -> list[ColumnElement[bool]]:
    """The filter as conditions on PRODUCT, leaving out the part named ``without`` (a facet's own)."""
    found: list[ColumnElement[bool]] = []
    if wanted.category_ids is not None and without != "category":
        found.append(_linked(IN_CATEGORY, IN_CATEGORY.c.category_id.in_(wanted.category_ids)))
    if wanted.partner_ids is not None and without != "partner":
        found.append(PRODUCT.c.partner_id.in_(wanted.partner_ids))
    if wanted.nutrient_ids is not None:
        found += [_linked(HAS_NUTRIENT, HAS_NUTRIENT.c.nutrient_id == each) for each in wanted.nutrient_ids]
        found += [] if wanted.nutrient_ids else [literal(1) == 0]
    if wanted.nutrient_amounts is not None:
        found += [_has_amount(*each) for each in wanted.nutrient_amounts]
        found += [] if wanted.nutrient_amounts else [literal(1) == 0]
    if wanted.attributes is not None:
        found += [] if wanted.attributes else [literal(1) == 0]
        for name, values in wanted.attributes:
            if without != f"attribute:{name}":
                found.append(_linked(ATTRIBUTE, ATTRIBUTE.c.name == name, ATTRIBUTE.c.value.in_(values)))
    if wanted.subscribable_only:
        found.append(_linked(PLAN))
    if wanted.rating_min is not None:
        found.append(PRODUCT.c.rating_average >= wanted.rating_min)
    return found + _variant_conditions(wanted)


def _has_amount(nutrient_id: str, least: int | None, most: int | None) -> ColumnElement[bool]:
    conditions = [HAS_NUTRIENT.c.nutrient_id == nutrient_id]
    conditions += [] if least is None else [HAS_NUTRIENT.c.amount >= least]
    conditions += [] if most is None else [HAS_NUTRIENT.c.amount <= most]
    return _linked(HAS_NUTRIENT, *conditions)


def _variant_conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.price_min is not None:
        conditions.append(VARIANT.c.price >= wanted.price_min)
    if wanted.price_max is not None:
        conditions.append(VARIANT.c.price <= wanted.price_max)
    if wanted.in_stock_only:
        in_stock = LEVEL.c.on_hand > LEVEL.c.reserved + LEVEL.c.allocated
        conditions.append(_exists(LEVEL, VARIANT, LEVEL.c.variant_id == VARIANT.c.id, in_stock))
    if not conditions:
        return []
    own = VARIANT.c.product_id == PRODUCT.c.id, VARIANT.c.withdrawn.is_(False)
    return [_exists(VARIANT, PRODUCT, *own, *conditions)]


def _linked(link: Table, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return _exists(link, PRODUCT, link.c.product_id == PRODUCT.c.id, *conditions)


def _exists(table: Table, outer: Table, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    # Correlated by name: a facet's query has the same table in its own FROM.
    return select(literal(1)).select_from(table).where(*conditions).correlate(outer).exists()


async def facets(connection: AsyncConnection, search: Search) -> list[FacetCounts]:
    """What the results could be narrowed by. A facet where one value is enough counts as if none of it was chosen."""
    category, nutrient = models.Category.__table__, models.Nutrient.__table__
    chosen = search.filter
    by_category = _narrowed(search, "category").join(IN_CATEGORY, IN_CATEGORY.c.product_id == PRODUCT.c.id)
    by_nutrient = _narrowed(search, None).join(HAS_NUTRIENT, HAS_NUTRIENT.c.product_id == PRODUCT.c.id)
    found = [
        await _facet(
            connection,
            ("category", "Category"),
            by_category.join(category, category.c.id == IN_CATEGORY.c.category_id),
            (category.c.id, category.c.name),
            ("Category", chosen.category_ids),
        ),
        await _facet(
            connection,
            ("nutrient", "Nutrient"),
            by_nutrient.join(nutrient, nutrient.c.id == HAS_NUTRIENT.c.nutrient_id),
            (nutrient.c.id, nutrient.c.name),
            ("Nutrient", chosen.nutrient_ids),
        ),
        await _facet(
            connection,
            ("partner", "Seller"),
            _narrowed(search, "partner").where(PARTNER.c.partner_id.is_not(None)),
            (PARTNER.c.partner_id, PARTNER.c.name),
            ("Partner", chosen.partner_ids),
        ),
    ]
    found += await _attribute_facets(connection, search)
    return [facet for facet in found if facet.values]


def _narrowed(search: Search, without: str | None) -> Select[Any]:
    return _base(search, without=without)[0]


async def _facet(
    connection: AsyncConnection,
    name: tuple[str, str],
    found: Select[Any],
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    chosen: tuple[str, Sequence[str] | None],
) -> FacetCounts:
    number = func.count(PRODUCT.c.id.distinct())
    query = found.with_only_columns(*columns, number.label("number")).group_by(*columns)
    rows = (await connection.execute(query.order_by(number.desc(), columns[1]).limit(FACET_VALUES))).all()
    type_name, selected = chosen
    values = [FacetCount(global_id(type_name, row[0]), row[1], row.number, row[0] in (selected or ())) for row in rows]
    return FacetCounts(*name, values)


async def _attribute_facets(connection: AsyncConnection, search: Search) -> list[FacetCounts]:
    chosen: Mapping[str, Sequence[str]] = dict(search.filter.attributes or ())
    counts = await _attribute_counts(connection, search, None)
    for name in chosen:
        own = await _attribute_counts(connection, search, name)
        counts[name] = own.get(name, [])
    return [
        FacetCounts(
            f"attribute:{name}",
            name,
            [
                FacetCount(value, value, number, value in chosen.get(name, ()))
                for value, number in values[:FACET_VALUES]
            ],
        )
        for name, values in sorted(counts.items())
    ]


async def _attribute_counts(
    connection: AsyncConnection, search: Search, name: str | None
) -> dict[str, list[tuple[str, int]]]:
    found = _narrowed(search, f"attribute:{name}" if name else None)
    query = found.join(ATTRIBUTE, ATTRIBUTE.c.product_id == PRODUCT.c.id)
    if name is not None:
        query = query.where(ATTRIBUTE.c.name == name)
    number = func.count(PRODUCT.c.id.distinct())
    columns = ATTRIBUTE.c.name, ATTRIBUTE.c.value
    query = (
        query.with_only_columns(*columns, number.label("number")).group_by(*columns).order_by(number.desc(), columns[1])
    )
    counts: dict[str, list[tuple[str, int]]] = {}
    for row in await connection.execute(query):
        counts.setdefault(row.name, []).append((row.value, row.number))
    return counts


async def with_descendants(connection: AsyncConnection, category_ids: Sequence[str]) -> list[str]:
    """The categories and all below them. The tree is small: it is read whole."""
    category = models.Category.__table__
    children: dict[str, list[str]] = {}
    for row in await connection.execute(select(category.c.id, category.c.parent_id)):
        children.setdefault(row.parent_id or "", []).append(row.id)
    found: list[str] = []
    waiting = list(category_ids)
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.append(each)
            waiting += children.get(each, [])
    return found
