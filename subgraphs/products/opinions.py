"""Use cases of buyers: wishlists, and reviews by those who have bought."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.products import models
from subgraphs.products.domain import helpfulness, text_problem
from subgraphs.products.purchasable import product_changed
from subgraphs.products.shop import Shop, viewer

PRODUCT = models.Product.__table__
WISH = models.WishlistItem.__table__
REVIEW = models.Review.__table__
PURCHASE = models.Purchase.__table__
RECEIVED = models.ReceivedOrder.__table__

MAX_REVIEW = 5000
MAX_WISHES = 1000


async def wishlist_add(shop: Shop, identity: Identity, product_id: str) -> None:
    """Put a product that the caller can see on his wishlist; again is nothing. Raises Rejected."""
    user_id = identity.require_user()

    async def work(tx: AsyncConnection) -> None:
        await _check_visible(tx, identity, product_id)
        mine = select(WISH.c.product_id).where(WISH.c.user_id == user_id)
        wished = set((await tx.execute(mine)).scalars())
        if len(wished) >= MAX_WISHES and product_id not in wished:
            raise Rejected("NOT_ALLOWED", f"A wishlist has room for {MAX_WISHES}.", ["productId"])
        await insert_ignore(tx, WISH, [{"user_id": user_id, "product_id": product_id, "position": new_ulid()}])

    await shop.write(work)


async def wishlist_remove(shop: Shop, identity: Identity, product_id: str) -> None:
    """Take a product off the caller's wishlist; nothing if it is not there. Raises Rejected for an unknown product."""
    user_id = identity.require_user()

    async def work(tx: AsyncConnection) -> None:
        gone = delete(WISH).where(WISH.c.user_id == user_id, WISH.c.product_id == product_id)
        if not (await tx.execute(gone)).rowcount:
            await _check_visible(tx, identity, product_id)

    await shop.write(work)


async def review_create(shop: Shop, identity: Identity, product_id: str, rating: int, body: str) -> str:
    """Review what the caller has bought and received, once; the review's id. Raises Rejected."""
    user_id = identity.require_user()
    if not 1 <= rating <= 5:
        raise Rejected("INVALID", "1 to 5 stars.", ["rating"])
    if problem := text_problem(body, at_most=MAX_REVIEW, multiline=True):
        raise Rejected("INVALID", problem, ["body"])

    async def work(tx: AsyncConnection) -> str:
        await _check_visible(tx, identity, product_id)
        if not await _has_bought(tx, user_id, product_id):
            raise Rejected("NOT_PURCHASED", "Those who have bought and received it review a product.", ["productId"])
        review_id = new_ulid()
        row = {
            "id": review_id,
            "product_id": product_id,
            "author_id": user_id,
            "rating": rating,
            "body": body,
            "helpfulness": helpfulness(body),
            "verified_purchase": True,
            "created_at": shop.now(),
        }
        await insert_ignore(tx, REVIEW, [row])
        kept = select(REVIEW.c.id).where(REVIEW.c.product_id == product_id, REVIEW.c.author_id == user_id)
        if (await tx.execute(kept)).scalar_one() != review_id:
            raise Rejected("UNIQUE", "You have reviewed this product.", ["productId"])
        await _count_rating(tx, product_id, rating)
        await product_changed(tx, product_id)
        return review_id

    return await shop.write(work)


async def _count_rating(tx: AsyncConnection, product_id: str, rating: int) -> None:
    this = update(PRODUCT).where(PRODUCT.c.id == product_id)
    await tx.execute(this.values(rating_total=PRODUCT.c.rating_total + rating, rating_count=PRODUCT.c.rating_count + 1))
    await tx.execute(this.values(rating_average=PRODUCT.c.rating_total * 100 // PRODUCT.c.rating_count))


async def _check_visible(tx: AsyncConnection, identity: Identity, product_id: str) -> None:
    product = (await tx.execute(select(PRODUCT).where(PRODUCT.c.id == product_id))).one_or_none()
    if product is None or not (await viewer(tx, identity)).may_see(product):
        raise Rejected("NOT_FOUND", "No Product has this id.", ["productId"])


async def _has_bought(tx: AsyncConnection, user_id: str, product_id: str) -> bool:
    query = select(PURCHASE.c.order_id).join(RECEIVED, RECEIVED.c.order_id == PURCHASE.c.order_id)
    query = query.where(PURCHASE.c.user_id == user_id, PURCHASE.c.product_id == product_id).limit(1)
    return (await tx.execute(query)).first() is not None
