"""The GraphQL schema of products: thin resolvers over use cases, search and loaders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection
from strawberry.federation.schema_directives import Authenticated

from subgraphs.kit.caching import INHERITED, kept
from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import local_id, parse_id
from subgraphs.kit.pagination import Page, page_size
from subgraphs.kit.types import PageInfo
from subgraphs.products import inventory, opinions, search, service
from subgraphs.products.drafts import ProductDraft, check
from subgraphs.products.entities import products as product_entities
from subgraphs.products.entities import resolvers
from subgraphs.products.errors import InputError, InsufficientStockError, UserError, errors_of
from subgraphs.products.flash.schema import FlashMutation, FlashQuery, item_news, ticket_news
from subgraphs.products.flash.types import FlashSale, FlashSaleItem, QueueTicket, StockClaim
from subgraphs.products.flash.types import resolvers as flash_resolvers
from subgraphs.products.inputs import ProductFilter, ProductInput, draft_of, filter_of
from subgraphs.products.loaders import CATEGORY, NUTRIENT, Context, PageKey
from subgraphs.products.media.schema import MediaMutation
from subgraphs.products.media.uploads import WRITE_SCOPE
from subgraphs.products.search import ProductSort, Search
from subgraphs.products.shop import STAFF_SCOPE
from subgraphs.products.types import (
    INVENTORY_SCOPE,
    Category,
    Facet,
    FacetValue,
    Info,
    Nutrient,
    Partner,
    Product,
    ProductEdge,
    ProductVariant,
    Review,
    SellingPlan,
    StockMovement,
    User,
    category_of,
    movement_of,
    nutrient_of,
    paged,
    product_of,
    review_of,
    variant_of,
)

MAX_WATCHED = 100
"""Variants that one subscription may watch."""


@strawberry.type(directives=[INHERITED])
class ProductSearchConnection:
    edges: list[ProductEdge]
    page_info: PageInfo
    asked: strawberry.Private[Search]
    searched: strawberry.Private[Search]

    @strawberry.field(description="What was searched for instead, where the words as asked are nobody's.")
    def corrected_query(self) -> str | None:
        return None if self.searched is self.asked else self.searched.query

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        async with info.context.shop.database.read(stale_ok=True) as connection:
            return await search.count(connection, self.searched)

    @strawberry.field
    async def facets(self, info: Info) -> list[Facet]:
        async with info.context.shop.database.read(stale_ok=True) as connection:
            found = await search.facets(connection, self.searched)
        return [
            Facet(
                key=facet.key,
                label=facet.label,
                values=[
                    FacetValue(value=each.value, label=each.label, count=each.count, selected=each.selected)
                    for each in facet.values
                ],
            )
            for facet in found
        ]


@strawberry.type
class StockMovementEdge:
    cursor: str
    node: StockMovement


@strawberry.type
class StockMovementConnection:
    edges: list[StockMovementEdge]
    page_info: PageInfo


@strawberry.type
class Query(FlashQuery):
    @strawberry.federation.field(tags=["partner"])
    async def product(
        self, info: Info, id: strawberry.ID | None = strawberry.UNSET, slug: str | None = strawberry.UNSET
    ) -> Product | None:
        row = await _product_row(info.context, id or None, slug or None)
        return product_of(row) if row is not None and (await info.context.viewer()).may_see(row) else None

    @strawberry.federation.field(tags=["partner"])
    async def product_variant(
        self, info: Info, id: strawberry.ID | None = strawberry.UNSET, sku: str | None = strawberry.UNSET
    ) -> ProductVariant | None:
        row = await _variant_row(info.context, id or None, sku or None)
        if row is None:
            return None
        product = await info.context.products.load(row.product_id)
        return variant_of(row) if (await info.context.viewer()).may_see(product) else None

    @strawberry.federation.field(directives=[paged(), kept(10)], tags=["partner"])
    async def product_search(
        self,
        info: Info,
        query: str | None = strawberry.UNSET,
        filter: ProductFilter | None = strawberry.UNSET,
        sort: ProductSort | None = ProductSort.RELEVANCE,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> ProductSearchConnection | None:
        size = page_size(first)
        context = info.context
        wanted = filter_of(filter or None, context.shop.settings.currency)
        async with context.shop.database.read(stale_ok=True) as connection:
            if wanted.category_ids:
                wanted = replace(wanted, category_ids=await search.with_descendants(connection, wanted.category_ids))
            searched = Search(query or None, wanted, sort or ProductSort.RELEVANCE)
            name = f"search:{searched.sort.value}:{bool(searched.query)}"
            position = context.cursors.decode(name, after) if after else None
            rows, found = await _found(context, connection, searched, size, position)
        page = context.cursors.page(name, rows, size, after or None, search.position_of)
        edges = [
            ProductEdge(cursor=cursor, node=product_of(row))
            for row, cursor in zip(page.rows, page.cursors, strict=True)
        ]
        return ProductSearchConnection(edges=edges, page_info=page.info, asked=searched, searched=found)

    @strawberry.field
    async def categories(self, info: Info, parent_id: strawberry.ID | None = strawberry.UNSET) -> list[Category] | None:
        if not parent_id:
            query = select(CATEGORY).where(CATEGORY.c.parent_id.is_(None)).order_by(CATEGORY.c.position, CATEGORY.c.id)
            async with info.context.shop.database.read(stale_ok=True) as connection:
                return [category_of(row) for row in await connection.execute(query)]
        parsed = parse_id(parent_id)
        if parsed is None or parsed[0] != "Category":
            return []
        return [category_of(row) for row in await info.context.children_of_category.load(parsed[1])]

    @strawberry.field
    async def nutrients(self, info: Info, search: str | None = strawberry.UNSET) -> list[Nutrient] | None:
        query = select(NUTRIENT).order_by(NUTRIENT.c.name, NUTRIENT.c.id).limit(200)
        if search and search.strip():
            query = query.where(NUTRIENT.c.name.icontains(search.strip()[:100], autoescape=True))
        async with info.context.shop.database.read(stale_ok=True) as connection:
            return [nutrient_of(row) for row in await connection.execute(query)]

    @strawberry.federation.field(requires_scopes=[[INVENTORY_SCOPE]])
    async def stock_movements(
        self, info: Info, variant_id: strawberry.ID, first: int | None = 50, after: str | None = strawberry.UNSET
    ) -> StockMovementConnection | None:
        context = info.context
        context.identity.require_scope(INVENTORY_SCOPE)
        row = await _variant_row(context, variant_id, None)
        if row is None or not (await context.viewer()).owns(await context.products.load(row.product_id)):
            return None
        page: Page[Any] = await context.movement_pages.load(PageKey(row.id, page_size(first, 50), after or None))
        causes = await context.causes.load_many([each.cause_id or "" for each in page.rows])
        edges = [
            StockMovementEdge(cursor=cursor, node=movement_of(each, cause))
            for each, cursor, cause in zip(page.rows, page.cursors, causes, strict=True)
        ]
        return StockMovementConnection(edges=edges, page_info=page.info)


async def _found(
    context: Context, connection: AsyncConnection, asked: Search, size: int, position: Sequence[Any] | None
) -> tuple[Sequence[Row[Any]], Search]:
    """A page of what was asked for; of the corrected query where that finds nothing."""
    rows = await search.page(connection, asked, size, position)
    if rows or not asked.query:
        return rows, asked
    vocabulary = await context.shop.spelling.vocabulary(connection, context.shop.now())
    query = await search.corrected(connection, asked.query, vocabulary.nearest)
    if query is None:
        return rows, asked
    correction = replace(asked, query=query)
    instead = await search.page(connection, correction, size, position)
    return (instead, correction) if instead else (rows, asked)


@strawberry.type
class ProductPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class InventoryPayload:
    variant: ProductVariant | None
    user_errors: list[UserError]


@strawberry.type
class WishlistPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class ReviewPayload:
    review: Review | None
    user_errors: list[UserError]


@strawberry.type
class Mutation(FlashMutation, MediaMutation):
    @strawberry.federation.mutation(requires_scopes=[[service.WRITE_SCOPE]], tags=["partner"])
    async def product_create(self, info: Info, input: ProductInput, idempotency_key: str) -> ProductPayload:
        context = info.context

        async def create() -> str:
            draft = await _prepared(context, input)
            return await service.product_create(context.shop, context.identity, draft, idempotency_key)

        return await _product_payload(context, create)

    @strawberry.federation.mutation(requires_scopes=[[service.WRITE_SCOPE]], tags=["partner"])
    async def product_update(self, info: Info, id: strawberry.ID, version: int, input: ProductInput) -> ProductPayload:
        context = info.context

        async def change() -> str:
            product_id = local_id("Product", id, field=["id"])
            draft = await _prepared(context, input)
            await service.product_update(context.shop, context.identity, product_id, version, draft)
            return product_id

        return await _product_payload(context, change)

    @strawberry.federation.mutation(requires_scopes=[[service.WRITE_SCOPE]])
    async def product_submit_for_review(self, info: Info, id: strawberry.ID) -> ProductPayload:
        context = info.context

        async def submit() -> str:
            product_id = local_id("Product", id, field=["id"])
            await service.product_submit(context.shop, context.identity, product_id)
            return product_id

        return await _product_payload(context, submit)

    @strawberry.federation.mutation(requires_scopes=[[STAFF_SCOPE]])
    async def product_review(
        self, info: Info, id: strawberry.ID, approve: bool, reason: str | None = strawberry.UNSET
    ) -> ProductPayload:
        context = info.context

        async def review() -> str:
            product_id = local_id("Product", id, field=["id"])
            await service.product_review(context.shop, context.identity, product_id, approve, reason or None)
            return product_id

        return await _product_payload(context, review)

    @strawberry.federation.mutation(requires_scopes=[[inventory.WRITE_SCOPE]], tags=["partner"])
    async def inventory_adjust(
        self, info: Info, variant_id: strawberry.ID, delta: int, reason: str, idempotency_key: str
    ) -> InventoryPayload:
        context = info.context

        async def adjust() -> str:
            ulid = local_id("ProductVariant", variant_id, field=["variantId"])
            await inventory.inventory_adjust(context.shop, context.identity, ulid, delta, reason, idempotency_key)
            return ulid

        return await _inventory_payload(context, adjust)

    @strawberry.federation.mutation(requires_scopes=[[inventory.WRITE_SCOPE]], tags=["partner"])
    async def inventory_set(
        self,
        info: Info,
        variant_id: strawberry.ID,
        on_hand: int,
        compare_on_hand: int,
        idempotency_key: str,
        product_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="The product that the variant must be of.")
        ] = strawberry.UNSET,
    ) -> InventoryPayload:
        context = info.context

        async def count() -> str:
            ulid = local_id("ProductVariant", variant_id, field=["variantId"])
            product = local_id("Product", product_id, field=["productId"]) if product_id else None
            await inventory.inventory_set(
                context.shop, context.identity, ulid, on_hand, compare_on_hand, idempotency_key, product
            )
            return ulid

        return await _inventory_payload(context, count)

    @strawberry.federation.mutation(authenticated=True)
    async def wishlist_add(self, info: Info, product_id: strawberry.ID) -> WishlistPayload:
        return await _wishlist_payload(info.context, product_id, opinions.wishlist_add)

    @strawberry.federation.mutation(authenticated=True)
    async def wishlist_remove(self, info: Info, product_id: strawberry.ID) -> WishlistPayload:
        return await _wishlist_payload(info.context, product_id, opinions.wishlist_remove)

    @strawberry.federation.mutation(authenticated=True)
    async def review_create(self, info: Info, product_id: strawberry.ID, rating: int, body: str) -> ReviewPayload:
        context = info.context
        context.identity.require_user()
        try:
            ulid = local_id("Product", product_id, field=["productId"])
            review_id = await opinions.review_create(context.shop, context.identity, ulid, rating, body)
        except (Rejected, RejectedTogether) as error:
            return ReviewPayload(review=None, user_errors=errors_of(error))
        return ReviewPayload(review=review_of(await context.reviews.load(review_id)), user_errors=[])


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Authenticated()])
    async def queue_ticket_updated(self, info: Info, id: strawberry.ID) -> AsyncIterator[QueueTicket]:
        async for ticket in ticket_news(info, id):
            yield ticket

    @strawberry.subscription
    async def flash_sale_item_updated(self, info: Info, sale_id: strawberry.ID) -> AsyncIterator[FlashSaleItem]:
        async for item in item_news(info, sale_id):
            yield item

    @strawberry.subscription
    async def product_variant_availability_changed(
        self, info: Info, ids: list[strawberry.ID]
    ) -> AsyncIterator[ProductVariant]:
        if not 1 <= len(ids) <= MAX_WATCHED:
            raise Rejected("INVALID", f"1 to {MAX_WATCHED} variants.", ["ids"])
        ulids = sorted({local_id("ProductVariant", each, field=["ids"]) for each in ids})
        context = info.context
        async for topic in context.shop.changes.listen(*(f"variant:{ulid}" for ulid in ulids)):
            context.forget()
            row = await context.variants.load(topic.removeprefix("variant:"))
            if row is not None and (await context.viewer()).may_see(await context.products.load(row.product_id)):
                yield variant_of(row)


async def _product_row(context: Context, id: str | None, slug: str | None) -> Any:
    """By either key; by both only if they mean the same product."""
    parsed = parse_id(id) if id else None
    if id and (parsed is None or parsed[0] != "Product"):
        return None
    row = await context.products.load(parsed[1]) if parsed else None
    if slug:
        found = await context.products_by_slug.load(slug[:200])
        return found if not id or (row is not None and found is not None and row.id == found.id) else None
    return row


async def _variant_row(context: Context, id: str | None, sku: str | None) -> Any:
    parsed = parse_id(id) if id else None
    if id and (parsed is None or parsed[0] != "ProductVariant"):
        return None
    row = await context.variants.load(parsed[1]) if parsed else None
    if sku:
        found = await context.variants_by_sku.load(sku[:200])
        return found if not id or (row is not None and found is not None and row.id == found.id) else None
    return row


async def _prepared(context: Context, given: ProductInput) -> ProductDraft:
    """The draft that a seller entered, with its new pictures checked: that takes too long for a transaction."""
    draft = draft_of(given)
    if draft.media_upload_ids:
        check(draft, context.shop.settings.currency)
        context.identity.require_scope(WRITE_SCOPE)
        await context.media.prepare(context.identity.user_id, draft.media_upload_ids)
    return draft


async def _product_payload(context: Context, work: Callable[[], Awaitable[str]]) -> ProductPayload:
    try:
        product_id = await work()
    except (Rejected, RejectedTogether) as error:
        return ProductPayload(product=None, user_errors=errors_of(error))
    context.products.clear(product_id)
    return ProductPayload(product=product_of(await context.products.load(product_id)), user_errors=[])


async def _inventory_payload(context: Context, work: Callable[[], Awaitable[str]]) -> InventoryPayload:
    try:
        variant_id = await work()
    except (Rejected, RejectedTogether) as error:
        return InventoryPayload(variant=None, user_errors=errors_of(error))
    context.levels.clear(variant_id)
    return InventoryPayload(variant=variant_of(await context.variants.load(variant_id)), user_errors=[])


async def _wishlist_payload(context: Context, product_id: str, work: Callable[..., Awaitable[None]]) -> WishlistPayload:
    context.identity.require_user()
    try:
        ulid = local_id("Product", product_id, field=["productId"])
        await work(context.shop, context.identity, ulid)
    except (Rejected, RejectedTogether) as error:
        return WishlistPayload(product=None, user_errors=errors_of(error))
    context.wishes.clear(ulid)
    (product,) = await product_entities([{"id": product_id}], context)
    return WishlistPayload(product=product, user_errors=[])


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[
        InputError,
        InsufficientStockError,
        Product,
        ProductVariant,
        SellingPlan,
        User,
        Partner,
        FlashSale,
        StockClaim,
    ],
    federation_version="2.9",
)
resolve_entities(schema, {**resolvers(), **flash_resolvers()})
