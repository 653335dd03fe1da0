"""What one request reads, in batches: a loader collects the keys of a level of the answer and asks once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, NamedTuple

from aiodataloader import DataLoader
from sqlalchemy import ColumnElement, Integer, Row, Select, bindparam, func, select

from db.bulk import among
from db.reads import KEY, KEYS, Read, by_key
from db.session import Database
from db.statements import after
from subgraphs.kit.identity import Identity
from subgraphs.kit.media.uploads import Uploads
from subgraphs.kit.pagination import Cursors, Page
from subgraphs.kit.rows import ManyRows, OneRow
from subgraphs.products import models
from subgraphs.products.flash.models import claims, items
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.shop import PARTNERS_OF, Shop, Viewer

PRODUCT = models.Product.__table__
VARIANT = models.ProductVariant.__table__
LEVEL = models.StockLevel.__table__
CATEGORY = models.Category.__table__
NUTRIENT = models.Nutrient.__table__
REVIEW = models.Review.__table__
WISH = models.WishlistItem.__table__
USER = models.UserCopy.__table__
PLAN = models.SellingPlan.__table__
MOVEMENT = models.StockMovement.__table__
IN_CATEGORY = models.ProductCategory.__table__
HAS_NUTRIENT = models.ProductNutrient.__table__
HAS_PLAN = models.ProductSellingPlan.__table__
ATTRIBUTE = models.ProductAttribute.__table__
MEDIA = models.ProductMedia.__table__


class PageKey(NamedTuple):
    """A page of the list of one parent."""

    parent: str
    first: int
    after: str | None


class Listing:
    """A list that hangs on parents, the greatest in ``order`` first; its reads are made once."""

    def __init__(
        self, name: str, query: Select[Any], parent: ColumnElement[Any], order: Sequence[ColumnElement[Any]]
    ) -> None:
        self.name = name
        self._parent, self._order = parent, list(order)
        sorts = [each.label(f"sort_{index}") for index, each in enumerate(order)]
        self._query = query.add_columns(parent.label(KEY), *sorts)
        self._of_one = Read(self._first(self._query.where(parent == bindparam("parent"))))
        self._of_many = Read(self._ranked(self._query.where(among(parent, KEYS))))

    async def rows(self, database: Database, parents: list[str], most: int) -> Sequence[Row[Any]]:
        """The first rows of each parent's list, ``most`` at most."""
        if len(parents) == 1:
            return await self._of_one.rows(database, parent=parents[0], most=most)
        return await self._of_many.rows(database, keys=parents, most=most)

    async def rows_after(
        self, database: Database, parents: list[str], most: int, values: Sequence[Any]
    ) -> Sequence[Row[Any]]:
        """Those that come after a position: the sort values of a row."""
        query = self._query.where(self._parent.in_(parents), after(self._order, values, descending=True))
        async with database.read() as connection:
            return list(await connection.execute(self._ranked(query), {"most": most}))

    def position_of(self, row: Row[Any]) -> list[Any]:
        """The row's sort values."""
        return [getattr(row, f"sort_{index}") for index in range(len(self._order))]

    def _first(self, query: Select[Any]) -> Select[Any]:
        return query.order_by(*self._falling()).limit(bindparam("most", type_=Integer))

    def _ranked(self, query: Select[Any]) -> Select[Any]:
        rank = func.row_number().over(partition_by=self._parent, order_by=self._falling())
        ranked = query.add_columns(rank.label("loader_rank")).subquery()
        return select(ranked).where(ranked.c.loader_rank <= bindparam("most")).order_by(ranked.c.loader_rank)

    def _falling(self) -> list[ColumnElement[Any]]:
        return [each.desc() for each in self._order]


class Pages(DataLoader[PageKey, Page[Any]]):
    """Pages of lists that hang on parents: the same page of many parents is one query."""

    def __init__(self, shop: Shop, cursors: Cursors, listing: Listing) -> None:
        super().__init__(max_batch_size=1000)
        self._shop, self._cursors, self._listing = shop, cursors, listing

    async def batch_load_fn(self, keys: list[PageKey]) -> list[Page[Any]]:
        pages: dict[PageKey, Page[Any]] = {}
        groups: dict[tuple[int, str | None], list[PageKey]] = defaultdict(list)
        for key in keys:
            groups[key.first, key.after].append(key)
        for (first, position), group in groups.items():
            rows = await self._rows([key.parent for key in group], first + 1, position)
            for key in group:
                own = rows.get(key.parent, [])
                pages[key] = self._cursors.page(self._listing.name, own, first, position, self._position_of)
        return [pages[key] for key in keys]

    async def _rows(self, parents: list[str], most: int, position: str | None) -> dict[str, list[Row[Any]]]:
        database, listing = self._shop.database, self._listing
        if position is None:
            rows = await listing.rows(database, parents, most)
        else:
            values = self._cursors.decode(listing.name, position)
            typed = [datetime.fromisoformat(each["t"]) if isinstance(each, dict) else each for each in values]
            rows = await listing.rows_after(database, parents, most, typed)
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            found[row.loader_key].append(row)
        return found

    def _position_of(self, row: Row[Any]) -> list[Any]:
        values = self._listing.position_of(row)
        return [{"t": each.astimezone(UTC).isoformat()} if isinstance(each, datetime) else each for each in values]


_ON_SALE = select(VARIANT).where(VARIANT.c.withdrawn.is_(False)).order_by(VARIANT.c.position, VARIANT.c.id)
_CATEGORY_LINKS = select(CATEGORY).join(IN_CATEGORY, IN_CATEGORY.c.category_id == CATEGORY.c.id)
_NUTRIENT_LINKS = select(NUTRIENT, HAS_NUTRIENT.c.amount).join(
    HAS_NUTRIENT, HAS_NUTRIENT.c.nutrient_id == NUTRIENT.c.id
)
_PLAN_LINKS = select(PLAN).join(HAS_PLAN, HAS_PLAN.c.selling_plan_id == PLAN.c.id)
_IN_ORDER = (CATEGORY.c.position, CATEGORY.c.id)

_PRODUCTS = by_key(select(PRODUCT), PRODUCT.c.id)
_PRODUCTS_BY_SLUG = by_key(select(PRODUCT), PRODUCT.c.slug)
_VARIANTS = by_key(select(VARIANT), VARIANT.c.id)
_VARIANTS_BY_SKU = by_key(select(VARIANT), VARIANT.c.sku)
_VARIANTS_OF_PRODUCT = by_key(_ON_SALE, VARIANT.c.product_id)
_LEVELS = by_key(select(LEVEL), LEVEL.c.variant_id)
_CATEGORIES = by_key(select(CATEGORY), CATEGORY.c.id)
_CHILDREN_OF_CATEGORY = by_key(select(CATEGORY).order_by(*_IN_ORDER), CATEGORY.c.parent_id)
_CATEGORIES_OF_PRODUCT = by_key(_CATEGORY_LINKS.order_by(*_IN_ORDER), IN_CATEGORY.c.product_id)
_NUTRIENTS = by_key(select(NUTRIENT), NUTRIENT.c.id)
_NUTRIENTS_OF_PRODUCT = by_key(
    _NUTRIENT_LINKS.order_by(HAS_NUTRIENT.c.position, NUTRIENT.c.id), HAS_NUTRIENT.c.product_id
)
_ATTRIBUTES_OF_PRODUCT = by_key(select(ATTRIBUTE).order_by(ATTRIBUTE.c.name, ATTRIBUTE.c.value), ATTRIBUTE.c.product_id)
_MEDIA_OF_PRODUCT = by_key(select(MEDIA).order_by(MEDIA.c.position), MEDIA.c.product_id)
_PLANS = by_key(select(PLAN), PLAN.c.id)
_PLANS_OF_PRODUCT = by_key(_PLAN_LINKS.order_by(HAS_PLAN.c.position, PLAN.c.id), HAS_PLAN.c.product_id)
_ITEMS_OF_SALE = by_key(select(items).order_by(items.c.id), items.c.sale_id)
_REVIEWS = by_key(select(REVIEW), REVIEW.c.id)
_USERS = by_key(select(USER), USER.c.user_id)
_WISHES = by_key(select(WISH).where(WISH.c.user_id == bindparam("user_id")), WISH.c.product_id)
_WAS_PUBLIC = PRODUCT.c.published_at.is_not(None)
_PARTNERS_OF = Read(PARTNERS_OF)

_REVIEW_ORDERS: dict[str, list[ColumnElement[Any]]] = {
    "HELPFUL": [REVIEW.c.helpfulness, REVIEW.c.id],
    "NEWEST": [REVIEW.c.created_at, REVIEW.c.id],
    "RATING_DESC": [REVIEW.c.rating, REVIEW.c.id],
}
_REVIEW_LISTS = {
    sort: Listing(f"reviews:{sort}", select(REVIEW), REVIEW.c.product_id, order)
    for sort, order in _REVIEW_ORDERS.items()
}
_MOVEMENTS = Listing("movements", select(MOVEMENT), MOVEMENT.c.variant_id, [MOVEMENT.c.position])
_WISHED = select(PRODUCT).join(WISH, WISH.c.product_id == PRODUCT.c.id).where(_WAS_PUBLIC)
_WISHLISTS = Listing("wishlist", _WISHED, WISH.c.user_id, [WISH.c.position])


@cache
def _partner_list(status: str | None, everything: bool) -> Listing:
    query = partner_products(status, everything)
    return Listing(f"partner:{status}:{everything}", query, PRODUCT.c.partner_id, [PRODUCT.c.id])


@dataclass
class Context:
    """One request: who asks, and the loaders, each made when it is first needed."""

    identity: Identity
    shop: Shop
    cursors: Cursors
    flash: FlashSales
    media: Uploads

    def forget(self) -> None:
        """Drop everything read so far: each event of a subscription is answered from what the tables say then."""
        for name in self.__dict__.keys() - {"identity", "shop", "cursors", "flash", "media"}:
            del self.__dict__[name]

    async def viewer(self) -> Viewer:
        """The caller with his sellers, read once."""
        return await self._viewer

    @cached_property
    def _viewer(self) -> asyncio.Future[Viewer]:
        return asyncio.ensure_future(self._read_viewer())

    async def _read_viewer(self) -> Viewer:
        user_id = self.identity.user_id
        rows = () if user_id is None else await _PARTNERS_OF.rows(self.shop.database, user_id=user_id)
        return Viewer(self.identity, frozenset(row.partner_id for row in rows))

    def _one(self, read: Read, **values: Any) -> OneRow:
        return OneRow(self.shop.database, read, **values)

    def _many(self, read: Read) -> ManyRows:
        return ManyRows(self.shop.database, read)

    def _pages(self, listing: Listing) -> Pages:
        return Pages(self.shop, self.cursors, listing)

    @cached_property
    def products(self) -> OneRow:
        return self._one(_PRODUCTS)

    @cached_property
    def products_by_slug(self) -> OneRow:
        return self._one(_PRODUCTS_BY_SLUG)

    @cached_property
    def variants(self) -> OneRow:
        return self._one(_VARIANTS)

    @cached_property
    def variants_by_sku(self) -> OneRow:
        return self._one(_VARIANTS_BY_SKU)

    @cached_property
    def variants_of_product(self) -> ManyRows:
        return self._many(_VARIANTS_OF_PRODUCT)

    @cached_property
    def levels(self) -> OneRow:
        return self._one(_LEVELS)

    @cached_property
    def categories(self) -> OneRow:
        return self._one(_CATEGORIES)

    @cached_property
    def children_of_category(self) -> ManyRows:
        return self._many(_CHILDREN_OF_CATEGORY)

    @cached_property
    def categories_of_product(self) -> ManyRows:
        return self._many(_CATEGORIES_OF_PRODUCT)

    @cached_property
    def nutrients(self) -> OneRow:
        return self._one(_NUTRIENTS)

    @cached_property
    def nutrients_of_product(self) -> ManyRows:
        return self._many(_NUTRIENTS_OF_PRODUCT)

    @cached_property
    def attributes_of_product(self) -> ManyRows:
        return self._many(_ATTRIBUTES_OF_PRODUCT)

    @cached_property
    def media_of_product(self) -> ManyRows:
        return self._many(_MEDIA_OF_PRODUCT)

    @cached_property
    def plans(self) -> OneRow:
        return self._one(_PLANS)

    @cached_property
    def plans_of_product(self) -> ManyRows:
        return self._many(_PLANS_OF_PRODUCT)

    @cached_property
    def items_of_sale(self) -> ManyRows:
        return self._many(_ITEMS_OF_SALE)

    @cached_property
    def causes(self) -> DataLoader[str, str]:
        """By what moved stock (nothing that came back): its type."""
        return DataLoader(self._types_of_causes, max_batch_size=1000)

    async def _types_of_causes(self, ids: list[str]) -> list[str]:
        types = dict.fromkeys(ids, "Order")
        async with self.shop.database.read() as connection:
            for name, table in (("FlashSaleItem", items), ("StockClaim", claims)):
                found = await connection.execute(select(table.c.id).where(table.c.id.in_(ids)))
                types |= dict.fromkeys(found.scalars(), name)
        return [types[each] for each in ids]

    @cached_property
    def reviews(self) -> OneRow:
        return self._one(_REVIEWS)

    @cached_property
    def users(self) -> OneRow:
        return self._one(_USERS)

    @cached_property
    def wishes(self) -> OneRow:
        """By product: the caller's own wish for it."""
        return self._one(_WISHES, user_id=self.identity.require_user())

    @cached_property
    def review_pages(self) -> dict[str, Pages]:
        """By sort: pages of a product's reviews."""
        return {sort: self._pages(listing) for sort, listing in _REVIEW_LISTS.items()}

    @cached_property
    def movement_pages(self) -> Pages:
        return self._pages(_MOVEMENTS)

    @cached_property
    def wishlist_pages(self) -> Pages:
        return self._pages(_WISHLISTS)

    @cached_property
    def partner_pages(self) -> dict[tuple[str | None, bool], Pages]:
        """By status and whether to show what is not public: pages of a seller's products. Filled as asked for."""
        return {}

    def partner_page(self, key: PageKey, status: str | None, everything: bool) -> asyncio.Future[Page[Any]]:
        """A page of a seller's products, the newest first."""
        pages = self.partner_pages.get((status, everything))
        if pages is None:
            pages = self.partner_pages[status, everything] = self._pages(_partner_list(status, everything))
        return pages.load(key)

    async def count(self, query: Select[Any]) -> int:
        """How many rows the query has."""
        async with self.shop.database.read() as connection:
            counted = select(func.count()).select_from(query.subquery())
            return int((await connection.execute(counted)).scalar_one())


def partner_products(status: str | None, everything: bool) -> Select[Any]:
    """A seller's products: of one status, and only the published ones unless ``everything`` may be shown."""
    query = select(PRODUCT)
    if not everything:
        query = query.where(PRODUCT.c.status == "PUBLISHED")
    return query if status is None else query.where(PRODUCT.c.status == status)


def wished_products(user_id: str) -> Select[Any]:
    """A user's wishes, as ids; of products that have been public."""
    query = select(PRODUCT.c.id).join(WISH, WISH.c.product_id == PRODUCT.c.id)
    return query.where(WISH.c.user_id == user_id, _WAS_PUBLIC)
