"""Use cases of the catalogue: a seller enters and changes products, an administrator reviews them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Table, bindparam, case, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.products import models, text
from subgraphs.products.domain import (
    EDITABLE,
    SUBMITTABLE,
    ProductStatus,
    duplicate_key,
    scaled_amount,
    text_problem,
)
from subgraphs.products.drafts import ProductDraft, check
from subgraphs.products.media.uploads import attach
from subgraphs.products.purchasable import announce_variants, product_changed, variants_changed
from subgraphs.products.search_index import index_products
from subgraphs.products.shop import PARTNER, STAFF_SCOPE, Shop, Viewer, viewer
from subgraphs.products.stock_ledger import open_levels

PRODUCT = models.Product.__table__
VARIANT = models.ProductVariant.__table__
WRITE_SCOPE = "products:write"


async def product_create(shop: Shop, identity: Identity, draft: ProductDraft, key: str) -> str:
    """Enter a product as DRAFT; its id. Raises Rejected or RejectedTogether, with nothing written."""
    identity.require_scope(WRITE_SCOPE)
    check(draft, shop.settings.currency)
    request = idempotency.Request(f"{identity.user_id}:productCreate", key, draft.body(), new_ulid())

    async def work(tx: AsyncConnection) -> str:
        earlier = await idempotency.claim_one(tx, models.idempotency, request)
        if earlier is not None:
            return str(earlier)
        seller = await _seller(tx, await viewer(tx, identity))
        product_id = await _insert_product(tx, shop, draft, seller)
        if draft.media_upload_ids:
            await attach(tx, product_id, identity.user_id, draft.media_upload_ids)
        await idempotency.answer(tx, models.idempotency, [(request, product_id)])
        return product_id

    return await shop.write(work)


async def product_update(shop: Shop, identity: Identity, product_id: str, version: int, draft: ProductDraft) -> None:
    """Replace what the product says. Variants are matched by SKU; one that is missing is withdrawn.

    A published product stays published. The initial quantity counts for new variants only. Raises Rejected.
    """
    identity.require_scope(WRITE_SCOPE)
    check(draft, shop.settings.currency)

    async def work(tx: AsyncConnection) -> list[str]:
        product = await _own_product(tx, identity, product_id)
        if product.version != version:
            raise Rejected("VERSION_CONFLICT", "Somebody has changed this product; read it again.", ["version"])
        if ProductStatus(product.status) not in EDITABLE:
            raise Rejected("NOT_ALLOWED", f"A product that is {product.status} can't be changed.", ["id"])
        await _check_references(tx, draft, product.partner_id)
        prices = draft.prices(product.currency)
        changes = {
            "name": draft.name,
            "description": draft.description,
            "type": draft.type,
            "min_price": min(prices),
            "max_price": max(prices),
            "updated_at": shop.now(),
            "version": version + 1,
        }
        await tx.execute(update(PRODUCT).where(PRODUCT.c.id == product_id).values(changes))
        await _take_name(tx, product_id, duplicate_key(product.partner_id, draft.name))
        await _write_variants(tx, shop, draft, product_id, product.currency)
        await _write_links(tx, draft, product_id)
        if draft.media_upload_ids is not None:
            await attach(tx, product_id, identity.user_id, draft.media_upload_ids)
        await index_products(tx, [product_id])
        await product_changed(tx, product_id)
        return await variants_changed(tx, VARIANT.c.product_id == product_id)

    await shop.tell_stock(await shop.write(work))


async def product_submit(shop: Shop, identity: Identity, product_id: str) -> None:
    """DRAFT or REJECTED to PENDING_REVIEW. Raises Rejected."""
    identity.require_scope(WRITE_SCOPE)

    async def work(tx: AsyncConnection) -> None:
        product = await _own_product(tx, identity, product_id)
        if ProductStatus(product.status) not in SUBMITTABLE:
            raise Rejected("NOT_ALLOWED", f"A product that is {product.status} can't be submitted.", ["id"])
        await _set_status(tx, shop, product, ProductStatus.PENDING_REVIEW, review_reason=None)

    await shop.write(work)


async def product_review(shop: Shop, identity: Identity, product_id: str, approve: bool, reason: str | None) -> None:
    """PENDING_REVIEW to PUBLISHED, or to REJECTED with a reason. Raises Rejected."""
    identity.require_scope(STAFF_SCOPE)
    if not approve and not (reason or "").strip():
        raise Rejected("REQUIRED", "Tell the seller why.", ["reason"])
    if reason and (problem := text_problem(reason, at_most=500, multiline=True)):
        raise Rejected("INVALID", problem, ["reason"])

    async def work(tx: AsyncConnection) -> list[str]:
        product = await _own_product(tx, identity, product_id)
        if product.status != ProductStatus.PENDING_REVIEW.value:
            raise Rejected("NOT_ALLOWED", f"A product that is {product.status} is not up for review.", ["id"])
        if not approve:
            await _set_status(tx, shop, product, ProductStatus.REJECTED, review_reason=reason)
            return []
        seen_since = product.published_at or shop.now()
        await _set_status(tx, shop, product, ProductStatus.PUBLISHED, review_reason=None, published_at=seen_since)
        return await variants_changed(tx, VARIANT.c.product_id == product_id)

    await shop.tell_stock(await shop.write(work))


async def _seller(tx: AsyncConnection, who: Viewer) -> str | None:
    """The caller's active seller; None for staff, who sell as the platform itself."""
    active = select(PARTNER.c.partner_id).where(PARTNER.c.partner_id.in_(who.partner_ids), PARTNER.c.status == "ACTIVE")
    found: str | None = (await tx.execute(active.order_by(PARTNER.c.partner_id).limit(1))).scalar()
    if found is None and not who.is_staff:
        raise Rejected("NOT_ALLOWED", "Only members of an active seller enter products.")
    return found


async def _own_product(tx: AsyncConnection, identity: Identity, product_id: str) -> Row[Any]:
    query = select(PRODUCT).where(PRODUCT.c.id == product_id).with_for_update()
    product = (await tx.execute(query)).one_or_none()
    who = await viewer(tx, identity)
    if product is None or not who.may_see(product):
        raise Rejected("NOT_FOUND", "No Product has this id.", ["id"])
    if not who.owns(product):
        raise Rejected("NOT_ALLOWED", "This is another seller's product.", ["id"])
    return product


async def _set_status(
    tx: AsyncConnection, shop: Shop, product: Row[Any], status: ProductStatus, **changes: Any
) -> None:
    values = {"status": status.value, "version": product.version + 1, "updated_at": shop.now(), **changes}
    await tx.execute(update(PRODUCT).where(PRODUCT.c.id == product.id).values(values))
    await product_changed(tx, product.id)


async def _insert_product(tx: AsyncConnection, shop: Shop, draft: ProductDraft, seller: str | None) -> str:
    await _check_references(tx, draft, seller)
    product_id, now = new_ulid(), shop.now()
    prices = draft.prices(shop.settings.currency)
    row = {
        "id": product_id,
        "slug": text.slug(draft.name, product_id[-8:]),
        "partner_id": seller,
        "name": draft.name,
        "description": draft.description,
        "type": draft.type,
        "status": ProductStatus.DRAFT.value,
        "currency": shop.settings.currency,
        "min_price": min(prices),
        "max_price": max(prices),
        "created_at": now,
        "updated_at": now,
    }
    await tx.execute(insert(PRODUCT).values(row))
    await _take_name(tx, product_id, duplicate_key(seller, draft.name))
    variant_ids = await _write_variants(tx, shop, draft, product_id, shop.settings.currency)
    await _write_links(tx, draft, product_id)
    await index_products(tx, [product_id])
    await announce_variants(tx, variant_ids)
    return product_id


async def _take_name(tx: AsyncConnection, product_id: str, key: str) -> None:
    """A seller has one product of a name. The unique key decides between two who look at the same moment."""
    taken = select(PRODUCT.c.id).where(PRODUCT.c.duplicate_key == key, PRODUCT.c.id != product_id)
    if (await tx.execute(taken)).first() is not None:
        raise Rejected("DUPLICATE_PRODUCT", "You have a product of this name.", ["input", "name"])
    try:
        await tx.execute(update(PRODUCT).where(PRODUCT.c.id == product_id).values(duplicate_key=key))
    except IntegrityError:
        raise Rejected("DUPLICATE_PRODUCT", "You have a product of this name.", ["input", "name"]) from None


async def _write_variants(
    tx: AsyncConnection, shop: Shop, draft: ProductDraft, product_id: str, currency: str
) -> list[str]:
    """Bring the product's variants to what the draft says; the ids of the new ones."""
    mine = select(VARIANT.c.sku, VARIANT.c.id).where(VARIANT.c.product_id == product_id)
    known = {row.sku: row.id for row in await tx.execute(mine)}
    prices = draft.prices(currency)
    old, new = [], []
    for index, variant in enumerate(draft.variants):
        values = {
            "position": index,
            "name": variant.name,
            "price": prices[index],
            "weight_grams": variant.weight_grams,
            "withdrawn": False,
        }
        if variant.sku in known:
            old.append({"b_id": known[variant.sku], **values})
        else:
            new.append((variant, {"id": new_ulid(), "sku": variant.sku, "currency": currency, **values}))
    kept = [row["b_id"] for row in old]
    leaving = VARIANT.c.product_id == product_id, VARIANT.c.id.not_in(kept)
    await tx.execute(update(VARIANT).where(*leaving).values(withdrawn=True))
    if old:
        await tx.execute(update(VARIANT).where(VARIANT.c.id == bindparam("b_id")), old)
    if new:
        await _insert_variants(tx, shop, product_id, [row for _, row in new])
        await open_levels(tx, {str(row["id"]): variant.initial_quantity for variant, row in new}, shop.now())
    return [str(row["id"]) for _, row in new]


async def _insert_variants(tx: AsyncConnection, shop: Shop, product_id: str, rows: Sequence[dict[str, Any]]) -> None:
    profile = await _shipping_profile(tx, shop)
    common = {"product_id": product_id, "shipping_profile_id": profile, "version": 1}
    await insert_ignore(tx, VARIANT, [{**row, **common} for row in rows])
    query = select(VARIANT.c.sku, VARIANT.c.product_id).where(VARIANT.c.sku.in_([row["sku"] for row in rows]))
    taken = [row.sku for row in await tx.execute(query) if row.product_id != product_id]
    if taken:
        raise Rejected("UNIQUE", f"Another product has the SKU {taken[0]}.", ["input", "variants"])


async def _shipping_profile(tx: AsyncConnection, shop: Shop) -> str:
    profile = models.ShippingProfileCopy.__table__
    chosen = shop.settings.default_shipping_profile_id
    if chosen is None:
        standard_first = case((profile.c.name == "standard", 0), else_=1)
        known = select(profile.c.shipping_profile_id).order_by(standard_first, profile.c.shipping_profile_id)
        chosen = (await tx.execute(known.limit(1))).scalar()
    if chosen is None:
        raise Rejected("NOT_ALLOWED", "There is no shipping profile yet; try again in a moment.", ["input", "variants"])
    return chosen


async def _write_links(tx: AsyncConnection, draft: ProductDraft, product_id: str) -> None:
    links: tuple[tuple[Table, list[dict[str, Any]]], ...] = (
        (models.ProductCategory.__table__, [{"category_id": each} for each in draft.category_ids]),
        (
            models.ProductNutrient.__table__,
            [
                {"nutrient_id": each.nutrient_id, "amount": scaled_amount(each.amount), "position": index}
                for index, each in enumerate(draft.nutrients)
            ],
        ),
        (
            models.ProductSellingPlan.__table__,
            [{"selling_plan_id": each, "position": index} for index, each in enumerate(draft.selling_plan_ids)],
        ),
    )
    for table, rows in links:
        await tx.execute(delete(table).where(table.c.product_id == product_id))
        if rows:
            await tx.execute(insert(table), [{"product_id": product_id, **row} for row in rows])


async def _check_references(tx: AsyncConnection, draft: ProductDraft, seller: str | None) -> None:
    """Raises Rejected NOT_FOUND for a category, nutrient or selling plan that the seller can't use."""
    category, nutrient = models.Category.__table__, models.Nutrient.__table__
    plan = models.SellingPlan.__table__
    await _check_known(tx, category, draft.category_ids, ["input", "categoryIds"])
    await _check_known(tx, nutrient, [each.nutrient_id for each in draft.nutrients], ["input", "nutrients"])
    usable = plan.c.partner_id.is_(None) | (plan.c.partner_id == seller)
    await _check_known(tx, plan, draft.selling_plan_ids, ["input", "sellingPlanIds"], usable)


async def _check_known(tx: AsyncConnection, table: Table, ids: Sequence[str], path: list[str], *also: Any) -> None:
    if not ids:
        return
    known = set((await tx.execute(select(table.c.id).where(table.c.id.in_(ids), *also))).scalars())
    for index, each in enumerate(ids):
        if each not in known:
            raise Rejected("NOT_FOUND", "There is no such thing.", [*path, str(index)])
