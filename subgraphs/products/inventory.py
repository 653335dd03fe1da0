"""Use cases of the stock keeper: adjust by a difference, or set after a count."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.products import models
from subgraphs.products.domain import MAX_UNITS, StockMovementType, text_problem
from subgraphs.products.shop import Shop, viewer
from subgraphs.products.stock_ledger import Change, Level, apply, lock_levels

WRITE_SCOPE = "inventory:write"


async def inventory_adjust(shop: Shop, identity: Identity, variant_id: str, delta: int, reason: str, key: str) -> None:
    """Add ``delta`` (may be negative) to what is on hand. Raises Rejected, with nothing written."""
    if delta == 0 or abs(delta) > MAX_UNITS:
        raise Rejected("INVALID", f"1 to {MAX_UNITS} units, up or down.", ["delta"])
    if problem := text_problem(reason, at_most=200):
        raise Rejected("INVALID", problem, ["reason"])
    request = _request(identity, "inventoryAdjust", key, [variant_id, delta, reason])
    await _change(shop, identity, variant_id, request, lambda _level: delta, reason, "delta")


async def inventory_set(
    shop: Shop,
    identity: Identity,
    variant_id: str,
    on_hand: int,
    compare_on_hand: int,
    key: str,
    product_id: str | None = None,
) -> None:
    """Set what is on hand, provided that it is still ``compare_on_hand``. Raises Rejected, with nothing written.

    ``product_id``: the product that the variant must be of.
    """
    if not 0 <= on_hand <= MAX_UNITS:
        raise Rejected("INVALID", f"0 to {MAX_UNITS} units.", ["onHand"])
    request = _request(identity, "inventorySet", key, [variant_id, on_hand, compare_on_hand])

    def difference(level: Level) -> int:
        if level.on_hand != compare_on_hand:
            raise Rejected("VERSION_CONFLICT", f"There are {level.on_hand} on hand now.", ["compareOnHand"])
        return on_hand - level.on_hand

    await _change(shop, identity, variant_id, request, difference, "counted", "onHand", product_id)


def _request(identity: Identity, operation: str, key: str, body: list[object]) -> idempotency.Request:
    identity.require_scope(WRITE_SCOPE)
    return idempotency.Request(f"{identity.user_id}:{operation}", key, body, new_ulid())


async def _change(
    shop: Shop,
    identity: Identity,
    variant_id: str,
    request: idempotency.Request,
    difference: Callable[[Level], int],
    reason: str,
    field: str,
    product_id: str | None = None,
) -> None:
    async def work(tx: AsyncConnection) -> bool:
        await _check_owner(tx, identity, variant_id, product_id)
        earlier = await idempotency.claim_one(tx, models.idempotency, request)
        if earlier is not None:
            return False
        levels = await lock_levels(tx, [variant_id])
        level = levels.get(variant_id, Level())
        delta = difference(level)
        if level.available + delta < 0:
            extras = {
                "variantId": global_id("ProductVariant", variant_id),
                "availableQuantity": max(level.available, 0),
            }
            raise Rejected("INSUFFICIENT_STOCK", "Units that are held or sold can't be taken away.", [field], extras)
        if level.on_hand + delta > MAX_UNITS:
            raise Rejected("INVALID", f"At most {MAX_UNITS} units.", [field])
        if delta:
            await apply(
                tx, levels, [Change(variant_id, StockMovementType.ADJUSTED, delta, delta, reason=reason)], shop.now()
            )
        await idempotency.answer(tx, models.idempotency, [(request, variant_id)])
        return True

    if await shop.write(work):
        await shop.tell_stock([variant_id])


async def _check_owner(tx: AsyncConnection, identity: Identity, variant_id: str, product_id: str | None) -> None:
    variant, product = models.ProductVariant.__table__, models.Product.__table__
    query = select(product).join(variant, variant.c.product_id == product.c.id).where(variant.c.id == variant_id)
    found = (await tx.execute(query)).one_or_none()
    who = await viewer(tx, identity)
    if found is None or not who.may_refer_to(found):
        raise Rejected("NOT_FOUND", "No ProductVariant has this id.", ["variantId"])
    if product_id is not None and found.id != product_id:
        raise Rejected("NOT_FOUND", "The product has no such variant.", ["variantId"])
    if not who.owns(found):
        raise Rejected("NOT_ALLOWED", "This is another seller's stock.", ["variantId"])
