"""What one request reads, in batches: a loader collects the keys of a level of the answer and asks once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from aiodataloader import DataLoader
from sqlalchemy import ColumnElement, Row, Select, func, select

from db.statements import after
from subgraphs.kit.identity import Identity
from subgraphs.kit.media.uploads import Uploads
from subgraphs.kit.pagination import Cursors, Page
from subgraphs.products import models
from subgraphs.products.flash.models import items
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.shop import Shop, Viewer, viewer

K = TypeVar("K", bound=Hashable)

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


class OneRow(DataLoader[str, Any]):
    """For each key the row of ``query`` that has it in column ``key``, or None."""

    def __init__(self, shop: Shop, query: Select[Any], key: ColumnElement[Any]) -> None:
        super().__init__(max_batch_size=1000)
        self._shop, self._query, self._key = shop, query.add_columns(key.label("loader_key")), key

    async def batch_load_fn(self, keys: list[str]) -> list[Any]:
        async with self._shop.database.read() as connection:
            rows = (await connection.execute(self._query.where(self._key.in_(keys)))).all()
        found = {row.loader_key: row for row in rows}
        return [found.get(key) for key in keys]


class ManyRows(OneRow):
    """For each key all rows that have it, in the order of ``query``."""

    async def batch_load_fn(self, keys: list[str]) -> list[Any]:
        async with self._shop.database.read() as connection:
            rows = (await connection.execute(self._query.where(self._key.in_(keys)))).all()
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            found[row.loader_key].append(row)
        return [found.get(key, []) for key in keys]


class PageKey(NamedTuple):
    """A page of the list of one parent."""

    parent: str
    first: int
    after: str | None


class Pages(DataLoader[PageKey, Page[Any]]):
    """Pages of lists that hang on parents: the same page of many parents is one query."""

    def __init__(
        self,
        shop: Shop,
        cursors: Cursors,
        name: str,
        query: Select[Any],
        parent: ColumnElement[Any],
        order: Sequence[ColumnElement[Any]],
    ) -> None:
        super().__init__(max_batch_size=1000)
        self._shop, self._cursors, self._name = shop, cursors, name
        self._parent, self._order = parent, list(order)
        self._query = query.add_columns(
            parent.label("loader_key"),
            func.row_number().over(partition_by=parent, order_by=[each.desc() for each in order]).label("loader_rank"),
            *(each.label(f"sort_{index}") for index, each in enumerate(order)),
        )

    async def batch_load_fn(self, keys: list[PageKey]) -> list[Page[Any]]:
        pages: dict[PageKey, Page[Any]] = {}
        groups: dict[tuple[int, str | None], list[PageKey]] = defaultdict(list)
        for key in keys:
            groups[key.first, key.after].append(key)
        for (first, position), group in groups.items():
            rows = await self._rows([key.parent for key in group], first, position)
            for key in group:
                own = rows.get(key.parent, [])
                pages[key] = self._cursors.page(self._name, own, first, position, self._position_of)
        return [pages[key] for key in keys]

    async def _rows(self, parents: list[str], first: int, position: str | None) -> dict[str, list[Row[Any]]]:
        query = self._query.where(self._parent.in_(parents))
        if position is not None:
            values = self._cursors.decode(self._name, position)
            typed = [datetime.fromisoformat(each["t"]) if isinstance(each, dict) else each for each in values]
            query = query.where(after(self._order, typed, descending=True))
        ranked = query.subquery()
        top = select(ranked).where(ranked.c.loader_rank <= first + 1).order_by(ranked.c.loader_rank)
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        async with self._shop.database.read() as connection:
            for row in await connection.execute(top):
                found[row.loader_key].append(row)
        return found

    def _position_of(self, row: Row[Any]) -> list[Any]:
        values = [getattr(row, f"sort_{index}") for index in range(len(self._order))]
        return [{"t": each.astimezone(UTC).isoformat()} if isinstance(each, datetime) else each for each in values]


REVIEW_ORDERS: dict[str, list[ColumnElement[Any]]] = {
    "HELPFUL": [REVIEW.c.helpfulness, REVIEW.c.id],
    "NEWEST": [REVIEW.c.created_at, REVIEW.c.id],
    "RATING_DESC": [REVIEW.c.rating, REVIEW.c.id],
}


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
        if self.identity.user_id is None:
            return Viewer(self.identity)
        async with self.shop.database.read() as connection:
            return await viewer(connection, self.identity)

    def _one(self, query: Select[Any], key: ColumnElement[Any]) -> OneRow:
        return OneRow(self.shop, query, key)

    def _many(self, query: Select[Any], key: ColumnElement[Any]) -> ManyRows:
        return ManyRows(self.shop, query, key)

    @cached_property
    def products(self) -> OneRow:
        return self._one(select(PRODUCT), PRODUCT.c.id)

    @cached_property
    def products_by_slug(self) -> OneRow:
        return self._one(select(PRODUCT), PRODUCT.c.slug)

    @cached_property
    def variants(self) -> OneRow:
        return self._one(select(VARIANT), VARIANT.c.id)

    @cached_property
    def variants_by_sku(self) -> OneRow:
        return self._one(select(VARIANT), VARIANT.c.sku)

    @cached_property
    def variants_of_product(self) -> ManyRows:
        on_sale = select(VARIANT).where(VARIANT.c.withdrawn.is_(False))
        return self._many(on_sale.order_by(VARIANT.c.position, VARIANT.c.id), VARIANT.c.product_id)

    @cached_property
    def levels(self) -> OneRow:
        return self._one(select(LEVEL), LEVEL.c.variant_id)

    @cached_property
    def categories(self) -> OneRow:
        return self._one(select(CATEGORY), CATEGORY.c.id)

    @cached_property
    def children_of_category(self) -> ManyRows:
        return self._many(select(CATEGORY).order_by(CATEGORY.c.position, CATEGORY.c.id), CATEGORY.c.parent_id)

    @cached_property
    def categories_of_product(self) -> ManyRows:
        joined = select(CATEGORY).join(IN_CATEGORY, IN_CATEGORY.c.category_id == CATEGORY.c.id)
        return self._many(joined.order_by(CATEGORY.c.position, CATEGORY.c.id), IN_CATEGORY.c.product_id)

    @cached_property
    def nutrients(self) -> OneRow:
        return self._one(select(NUTRIENT), NUTRIENT.c.id)

    @cached_property
    def nutrients_of_product(self) -> ManyRows:
        joined = select(NUTRIENT, HAS_NUTRIENT.c.amount)
        joined = joined.join(HAS_NUTRIENT, HAS_NUTRIENT.c.nutrient_id == NUTRIENT.c.id)
        return self._many(joined.order_by(HAS_NUTRIENT.c.position, NUTRIENT.c.id), HAS_NUTRIENT.c.product_id)

    @cached_property
    def attributes_of_product(self) -> ManyRows:
        return self._many(select(ATTRIBUTE).order_by(ATTRIBUTE.c.name, ATTRIBUTE.c.value), ATTRIBUTE.c.product_id)

    @cached_property
    def media_of_product(self) -> ManyRows:
        return self._many(select(MEDIA).order_by(MEDIA.c.position), MEDIA.c.product_id)

    @cached_property
    def plans(self) -> OneRow:
        return self._one(select(PLAN), PLAN.c.id)

    @cached_property
    def plans_of_product(self) -> ManyRows:
        joined = select(PLAN).join(HAS_PLAN, HAS_PLAN.c.selling_plan_id == PLAN.c.id)
        return self._many(joined.order_by(HAS_PLAN.c.position, PLAN.c.id), HAS_PLAN.c.product_id)

    @cached_property
    def items_of_sale(self) -> ManyRows:
        return self._many(select(items).order_by(items.c.id), items.c.sale_id)

    @cached_property
    def reviews(self) -> OneRow:
        return self._one(select(REVIEW), REVIEW.c.id)

    @cached_property
    def users(self) -> OneRow:
        return self._one(select(USER), USER.c.user_id)

    @cached_property
    def wishes(self) -> OneRow:
        """By product: the caller's own wish for it."""
        mine = select(WISH).where(WISH.c.user_id == self.identity.require_user())
        return self._one(mine, WISH.c.product_id)

    @cached_property
    def review_pages(self) -> dict[str, Pages]:
        """By sort: pages of a product's reviews."""
        return {
            sort: Pages(self.shop, self.cursors, f"reviews:{sort}", select(REVIEW), REVIEW.c.product_id, order)
            for sort, order in REVIEW_ORDERS.items()
        }

    @cached_property
    def movement_pages(self) -> Pages:
        newest_first = [MOVEMENT.c.position]
        return Pages(self.shop, self.cursors, "movements", select(MOVEMENT), MOVEMENT.c.variant_id, newest_first)

    @cached_property
    def wishlist_pages(self) -> Pages:
        query = select(PRODUCT).join(WISH, WISH.c.product_id == PRODUCT.c.id).where(_WAS_PUBLIC)
        return Pages(self.shop, self.cursors, "wishlist", query, WISH.c.user_id, [WISH.c.position])

    @cached_property
    def partner_pages(self) -> dict[tuple[str | None, bool], Pages]:
        """By status and whether to show what is not public: pages of a seller's products. Filled as asked for."""
        return {}

    def partner_page(self, key: PageKey, status: str | None, everything: bool) -> asyncio.Future[Page[Any]]:
        """A page of a seller's products, the newest first."""
        pages = self.partner_pages.get((status, everything))
        if pages is None:
            name = f"partner:{status}:{everything}"
            query = partner_products(status, everything)
            pages = Pages(self.shop, self.cursors, name, query, PRODUCT.c.partner_id, [PRODUCT.c.id])
            self.partner_pages[status, everything] = pages
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


_WAS_PUBLIC = PRODUCT.c.published_at.is_not(None)


def wished_products(user_id: str) -> Select[Any]:
    """A user's wishes, as ids; of products that have been public."""
    query = select(PRODUCT.c.id).join(WISH, WISH.c.product_id == PRODUCT.c.id)
    return query.where(WISH.c.user_id == user_id, _WAS_PUBLIC)
