"""The GraphQL types of products. Values are copied from rows when an object is made; the rest comes from loaders."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from sqlalchemy import Row
from strawberry.federation.schema_directives import ListSize

from subgraphs.kit.caching import INHERITED, NEVER, kept
from subgraphs.kit.ids import global_id, local_id
from subgraphs.kit.pagination import Page, page_size
from subgraphs.kit.types import Money, Node, PageInfo, money_of
from subgraphs.products import domain
from subgraphs.products.domain import Availability, ProductStatus, StockMovementType
from subgraphs.products.loaders import PRODUCT, Context, PageKey, partner_products, wished_products

Info = strawberry.Info[Context, None]

for _enum in (Availability, ProductStatus, StockMovementType):
    strawberry.enum(_enum)
INVENTORY_SCOPE = "inventory:read"

CATALOGUE = kept(60)
"""Events purge what has changed; this is for events that are late."""
REFERENCE = kept(300)
"""What hardly ever changes, and without an event."""
STOCK = kept(2)
"""Nothing tells of each unit sold: a page may be behind by so long, the order is not."""


def paged() -> ListSize:
    """``@listSize`` of a connection that is as long as ``first`` says."""
    return ListSize(
        assumed_size=strawberry.UNSET,
        slicing_arguments=["first"],
        sized_fields=["edges"],
        require_one_slicing_argument=strawberry.UNSET,
    )


@strawberry.enum
class ProductType(enum.Enum):
    SUPPLEMENT = "SUPPLEMENT"
    COFFEE = "COFFEE"
    GENERAL = "GENERAL"


@strawberry.enum
class MediaType(enum.Enum):
    IMAGE = "IMAGE"
    VIDEO = "VIDEO"


@strawberry.enum
class BillingInterval(enum.Enum):
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"


@strawberry.enum
class ReviewSort(enum.Enum):
    HELPFUL = "HELPFUL"
    NEWEST = "NEWEST"
    RATING_DESC = "RATING_DESC"


@strawberry.type
class InventoryLevel:
    on_hand: int
    reserved: int
    allocated: int
    available: int
    as_of: datetime


@strawberry.type
class StockMovement:
    id: strawberry.ID
    type: StockMovementType
    quantity: int = strawberry.field(description="Units moved; negative only when adjusted down.")
    balance_after: int = strawberry.field(description="Units that could still be sold.")
    cause_id: strawberry.ID | None
    created_at: datetime


@strawberry.federation.type(keys=["id"], directives=[REFERENCE])
class SellingPlan(Node):
    id: strawberry.ID
    name: str
    interval: BillingInterval
    interval_count: int
    discount_percent: Decimal | None
    deliveries_per_billing: int
    min_cycles: int | None
    max_cycles: int | None


@strawberry.federation.type(keys=["id"], directives=[REFERENCE])
class Category(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    slug: str
    name: str

    @strawberry.field
    async def parent(self, info: Info) -> Category | None:
        if self.row.parent_id is None:
            return None
        return category_of(await info.context.categories.load(self.row.parent_id))

    @strawberry.field
    async def children(self, info: Info) -> list[Category]:
        return [category_of(row) for row in await info.context.children_of_category.load(self.row.id)]


@strawberry.federation.type(keys=["id"], directives=[REFERENCE])
class Nutrient(Node):
    id: strawberry.ID
    name: str
    unit: str


@strawberry.type(directives=[INHERITED])
class NutrientAmount:
    nutrient: Nutrient
    amount: Decimal
    daily_value_percent: Decimal | None


@strawberry.type(directives=[INHERITED])
class AttributeValue:
    name: str
    value: str


@strawberry.type(directives=[INHERITED])
class Media:
    url: str
    alt: str | None
    type: MediaType


@strawberry.type(directives=[INHERITED])
class PriceRange:
    min: Money
    max: Money


@strawberry.type(directives=[INHERITED])
class RatingSummary:
    average: Decimal | None
    count: int


@strawberry.type(directives=[INHERITED])
class FacetValue:
    value: str
    label: str
    count: int
    selected: bool


@strawberry.type(directives=[INHERITED])
class Facet:
    key: str
    label: str
    values: list[FacetValue]


@strawberry.federation.type(keys=["id"], directives=[kept(30)])
class Review(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    rating: int
    body: str
    verified_purchase: bool
    created_at: datetime

    @strawberry.federation.field(provides=["displayName", "avatarUrl"], directives=[INHERITED])
    async def author(self, info: Info) -> User | None:
        known = await info.context.users.load(self.row.author_id)
        if known is None or known.deleted:
            return None
        return User(
            id=strawberry.ID(global_id("User", known.user_id)),
            display_name=known.display_name,
            avatar_url=known.avatar_url,
        )


@strawberry.type(directives=[INHERITED])
class ReviewEdge:
    cursor: str
    node: Review


@strawberry.type(directives=[INHERITED])
class ReviewConnection:
    edges: list[ReviewEdge]
    page_info: PageInfo
    total_count: int | None


@strawberry.federation.type(keys=["id", "slug"], tags=["partner"], directives=[CATALOGUE])
class Product(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    slug: str
    name: str
    description: str | None
    status: ProductStatus
    type: ProductType
    version: int
    updated_at: datetime

    @strawberry.field
    async def categories(self, info: Info) -> list[Category]:
        return [category_of(row) for row in await info.context.categories_of_product.load(self.row.id)]

    @strawberry.field
    async def nutrients(self, info: Info) -> list[NutrientAmount]:
        return [_nutrient_amount(row) for row in await info.context.nutrients_of_product.load(self.row.id)]

    @strawberry.field
    async def attributes(self, info: Info) -> list[AttributeValue]:
        rows = await info.context.attributes_of_product.load(self.row.id)
        return [AttributeValue(name=row.name, value=row.value) for row in rows]

    @strawberry.field
    async def media(self, info: Info) -> list[Media]:
        rows = await info.context.media_of_product.load(self.row.id)
        return [Media(url=row.url, alt=row.alt, type=MediaType(row.type)) for row in rows]

    @strawberry.field
    async def variants(self, info: Info) -> list[ProductVariant]:
        return [variant_of(row) for row in await info.context.variants_of_product.load(self.row.id)]

    @strawberry.field
    def price_range(self) -> PriceRange:
        row = self.row
        return PriceRange(min=money_of(row.min_price, row.currency), max=money_of(row.max_price, row.currency))

    @strawberry.field
    async def selling_plans(self, info: Info) -> list[SellingPlan]:
        return [plan_of(row) for row in await info.context.plans_of_product.load(self.row.id)]

    @strawberry.field
    def partner(self) -> Partner | None:
        return Partner(id=strawberry.ID(global_id("Partner", self.row.partner_id))) if self.row.partner_id else None

    @strawberry.field
    async def reviews(
        self,
        info: Info,
        first: int | None = 10,
        after: str | None = strawberry.UNSET,
        sort: ReviewSort | None = ReviewSort.HELPFUL,
    ) -> ReviewConnection:
        key = PageKey(self.row.id, page_size(first, 10), after or None)
        page = await info.context.review_pages[(sort or ReviewSort.HELPFUL).value].load(key)
        edges = [ReviewEdge(cursor=cursor, node=review_of(row)) for row, cursor in _pairs(page)]
        return ReviewConnection(edges=edges, page_info=page.info, total_count=self.row.rating_count)

    @strawberry.field
    def rating(self) -> RatingSummary:
        row = self.row
        return RatingSummary(average=domain.average_rating(row.rating_total, row.rating_count), count=row.rating_count)

    @strawberry.field(directives=[NEVER])
    async def is_wishlisted(self, info: Info) -> bool | None:
        if info.context.identity.user_id is None:
            return None
        return await info.context.wishes.load(self.row.id) is not None


@strawberry.federation.type(keys=["id", "sku"], tags=["partner"], directives=[CATALOGUE])
class ProductVariant(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    sku: str
    name: str
    price: Money
    compare_at_price: Money | None
    weight_grams: int
    shipping_profile_id: strawberry.ID = strawberry.federation.field(inaccessible=True)
    purchase_limit: int | None
    preorder_ships_at: datetime | None

    @strawberry.field
    async def product(self, info: Info) -> Product:
        return product_of(await info.context.products.load(self.row.product_id))

    @strawberry.field(directives=[STOCK])
    async def availability(self, info: Info) -> Availability:
        available = await self._available(info)
        return domain.availability(available, self.row.preorder_ships_at, info.context.shop.now())

    @strawberry.field(directives=[STOCK])
    async def available_quantity(self, info: Info) -> int | None:
        return await self._available(info)

    @strawberry.federation.field(requires_scopes=[[INVENTORY_SCOPE]], directives=[NEVER])
    async def inventory(self, info: Info) -> InventoryLevel | None:
        info.context.identity.require_scope(INVENTORY_SCOPE)
        product = await info.context.products.load(self.row.product_id)
        level = await info.context.levels.load(self.row.id)
        if level is None or not (await info.context.viewer()).owns(product):
            return None
        return InventoryLevel(
            on_hand=level.on_hand,
            reserved=level.reserved,
            allocated=level.allocated,
            available=level.on_hand - level.reserved - level.allocated,
            as_of=level.updated_at,
        )

    async def _available(self, info: Info) -> int:
        level = await info.context.levels.load(self.row.id)
        if level is None or self.row.withdrawn:
            return 0
        return max(int(level.on_hand - level.reserved - level.allocated), 0)


@strawberry.type(directives=[INHERITED])
class ProductEdge:
    cursor: str
    node: Product


@strawberry.type
class ProductConnection:
    edges: list[ProductEdge]
    page_info: PageInfo
    counted: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self, info: Info) -> int | None:
        return await info.context.count(self.counted)


@strawberry.federation.type(keys=["id"])
class User:
    id: strawberry.ID
    display_name: str = strawberry.federation.field(external=True, default="")
    avatar_url: str | None = strawberry.federation.field(external=True, default=None)

    @strawberry.federation.field(authenticated=True, directives=[NEVER])
    async def wishlist(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> ProductConnection | None:
        user_id = info.context.identity.require_user()
        if self.id != global_id("User", user_id):
            return None
        page = await info.context.wishlist_pages.load(PageKey(user_id, page_size(first), after or None))
        return connection_of(page, wished_products(user_id))


@strawberry.federation.type(keys=["id"])
class Partner:
    id: strawberry.ID

    @strawberry.federation.field(directives=[paged(), NEVER], tags=["partner"])
    async def products(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
        status: ProductStatus | None = strawberry.UNSET,
    ) -> ProductConnection | None:
        partner_id = local_id("Partner", self.id)
        who = await info.context.viewer()
        everything = who.is_staff or partner_id in who.partner_ids
        wanted = status.value if status else None
        page = await info.context.partner_page(PageKey(partner_id, page_size(first), after or None), wanted, everything)
        own = partner_products(wanted, everything).where(PRODUCT.c.partner_id == partner_id)
        return connection_of(page, own.with_only_columns(PRODUCT.c.id))


def _pairs(page: Page[Any]) -> Sequence[tuple[Any, str]]:
    return list(zip(page.rows, page.cursors, strict=True))


def product_of(row: Row[Any]) -> Product:
    """The GraphQL object of a product row."""
    return Product(
        row=row,
        id=strawberry.ID(global_id("Product", row.id)),
        slug=row.slug,
        name=row.name,
        description=row.description,
        status=ProductStatus(row.status),
        type=ProductType(row.type),
        version=row.version,
        updated_at=row.updated_at,
    )


def variant_of(row: Row[Any]) -> ProductVariant:
    """The GraphQL object of a variant row."""
    was = row.compare_at_price
    return ProductVariant(
        row=row,
        id=strawberry.ID(global_id("ProductVariant", row.id)),
        sku=row.sku,
        name=row.name,
        price=money_of(row.price, row.currency),
        compare_at_price=None if was is None else money_of(was, row.currency),
        weight_grams=row.weight_grams,
        shipping_profile_id=strawberry.ID(global_id("ShippingProfile", row.shipping_profile_id)),
        purchase_limit=row.purchase_limit,
        preorder_ships_at=row.preorder_ships_at,
    )


def category_of(row: Row[Any]) -> Category:
    """The GraphQL object of a category row."""
    return Category(row=row, id=strawberry.ID(global_id("Category", row.id)), slug=row.slug, name=row.name)


def nutrient_of(row: Row[Any]) -> Nutrient:
    """The GraphQL object of a nutrient row."""
    return Nutrient(id=strawberry.ID(global_id("Nutrient", row.id)), name=row.name, unit=row.unit)


def _nutrient_amount(row: Row[Any]) -> NutrientAmount:
    return NutrientAmount(
        nutrient=nutrient_of(row),
        amount=domain.amount_of(row.amount),
        daily_value_percent=domain.daily_value_percent(row.amount, row.reference_amount),
    )


def plan_of(row: Row[Any]) -> SellingPlan:
    """The GraphQL object of a selling plan row."""
    return SellingPlan(
        id=strawberry.ID(global_id("SellingPlan", row.id)),
        name=row.name,
        interval=BillingInterval(row.interval),
        interval_count=row.interval_count,
        discount_percent=None if row.discount_bps is None else Decimal(row.discount_bps) / 100,
        deliveries_per_billing=row.deliveries_per_billing,
        min_cycles=row.min_cycles,
        max_cycles=row.max_cycles,
    )


def review_of(row: Row[Any]) -> Review:
    """The GraphQL object of a review row."""
    return Review(
        row=row,
        id=strawberry.ID(global_id("Review", row.id)),
        rating=row.rating,
        body=row.body,
        verified_purchase=row.verified_purchase,
        created_at=row.created_at,
    )


def movement_of(row: Row[Any], cause: str) -> StockMovement:
    """The GraphQL object of a ledger row; ``cause``: the type of what caused it, where that is no return."""
    kind = "Return" if row.type == StockMovementType.RETURNED.value else cause
    return StockMovement(
        id=strawberry.ID(global_id("StockMovement", row.id)),
        type=StockMovementType(row.type),
        quantity=row.quantity,
        balance_after=row.balance_after,
        cause_id=strawberry.ID(global_id(kind, row.cause_id)) if row.cause_id else None,
        created_at=row.created_at,
    )


def connection_of(page: Page[Any], everything: Any) -> ProductConnection:
    """A page of product rows; ``everything`` is the query whose rows are counted if asked for."""
    edges = [ProductEdge(cursor=cursor, node=product_of(row)) for row, cursor in _pairs(page)]
    return ProductConnection(edges=edges, page_info=page.info, counted=everything)
