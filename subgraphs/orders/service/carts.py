"""Carts: of a user, or anonymous and then open to whoever holds its unguessable id.

Every change first raises the cart's version, and so holds its row: changes of one cart come one after another.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from db.statements import insert_ignore
from subgraphs.kit.copies import when_complete
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import new_ulid
from subgraphs.orders import models
from subgraphs.orders.domain.placing import MAX_LINES, MAX_QUANTITY, MISSING, Line, Variant, check_quantity
from subgraphs.orders.service.copies import Facts, facts_for

_carts, _lines = models.carts, models.cart_lines


async def add_lines(
    database: Database, user_id: str | None, cart_id: str | None, lines: Sequence[Line], now: datetime
) -> str:
    """Put ``lines`` into the cart named, else the user's own, else a new anonymous one; the cart's id.

    Raises Rejected; then nothing was added.
    """
    if not lines:
        raise Rejected("REQUIRED", "Name at least one product.", ["lines"])

    async def attempt() -> str | Rejected:
        try:
            return await database.run(lambda tx: _add(tx, user_id, cart_id, lines, now))
        except Rejected as rejected:
            return rejected

    def missing(result: str | Rejected) -> Sequence[str]:
        return result.extras.get(MISSING, ()) if isinstance(result, Rejected) else ()

    try:
        result = await when_complete(attempt, missing)
    except IntegrityError:  # the user's first cart was made by a request beside this one: now it is there
        result = await attempt()
    if isinstance(result, Rejected):
        raise result
    return result


async def update_line(
    tx: AsyncConnection, user_id: str | None, cart_id: str, line_id: str, quantity: int, now: datetime
) -> None:
    """Set a line's quantity. Raises Rejected."""
    check_quantity(quantity, ["quantity"])
    await _touch(tx, user_id, cart_id, now)
    query = select(_lines).where(_lines.c.id == line_id, _lines.c.cart_id == cart_id)
    line = (await tx.execute(query)).one_or_none()
    if line is None:
        raise Rejected("NOT_FOUND", "The cart has no such line.", ["lineId"])
    variant = (await facts_for(tx, variant_ids=[line.variant_id])).variants.get(line.variant_id)
    _check_limit(variant, quantity, ["quantity"])
    await tx.execute(update(_lines).where(_lines.c.id == line_id).values(quantity=quantity))


async def remove_lines(
    tx: AsyncConnection, user_id: str | None, cart_id: str, line_ids: Sequence[str], now: datetime
) -> None:
    """Take lines out, all or none. Raises Rejected."""
    if not line_ids:
        raise Rejected("REQUIRED", "Name at least one line.", ["lineIds"])
    await _touch(tx, user_id, cart_id, now)
    wanted = set(line_ids)
    gone = await tx.execute(delete(_lines).where(_lines.c.cart_id == cart_id, _lines.c.id.in_(wanted)))
    if gone.rowcount != len(wanted):
        raise Rejected("NOT_FOUND", "The cart has no such line.", ["lineIds"])


async def forget_anonymous(tx: AsyncConnection, before: datetime, *, limit: int = 500) -> int:
    """Delete anonymous carts that nobody has touched since ``before``; how many."""
    query = select(_carts.c.id).where(_carts.c.buyer_id.is_(None), _carts.c.updated_at < before).limit(limit)
    old = list((await tx.execute(query.with_for_update(skip_locked=True))).scalars())
    if old:
        await tx.execute(delete(_lines).where(_lines.c.cart_id.in_(old)))
        await tx.execute(delete(_carts).where(_carts.c.id.in_(old)))
    return len(old)


async def _add(
    tx: AsyncConnection, user_id: str | None, cart_id: str | None, lines: Sequence[Line], now: datetime
) -> str:
    facts = await facts_for(tx, variant_ids={line.variant_id for line in lines})
    for index, line in enumerate(lines):
        _check_for_sale(line, facts, ["lines", str(index), "variantId"])
    cart = await _open(tx, user_id, cart_id, now)
    found = await tx.execute(select(_lines).where(_lines.c.cart_id == cart))
    held: dict[str, Row[Any]] = {row.variant_id: row for row in found}
    wanted = {variant_id: row.quantity for variant_id, row in held.items()}
    for index, line in enumerate(lines):
        field = ["lines", str(index), "quantity"]
        wanted[line.variant_id] = wanted.get(line.variant_id, 0) + check_quantity(line.quantity, field)
        if wanted[line.variant_id] > MAX_QUANTITY:
            raise Rejected("INVALID", f"At most {MAX_QUANTITY} of one product.", field)
        _check_limit(facts.variants[line.variant_id], wanted[line.variant_id], field)
    if len(wanted) > MAX_LINES:
        raise Rejected("INVALID", f"A cart has at most {MAX_LINES} lines.", ["lines"])
    currencies = {row.currency for row in held.values()} | {facts.variants[each.variant_id].currency for each in lines}
    if len(currencies) > 1:
        raise Rejected("INVALID", "All lines of a cart are in one currency.", ["lines"])
    new = [_line_row(cart, facts.variants[each], wanted[each]) for each in wanted if each not in held]
    if new:
        await tx.execute(insert(_lines), new)
    for variant_id in {line.variant_id for line in lines} & held.keys():
        changed = update(_lines).where(_lines.c.id == held[variant_id].id)
        await tx.execute(changed.values(quantity=wanted[variant_id]))
    return cart


def _line_row(cart_id: str, variant: Variant, quantity: int) -> dict[str, Any]:
    return {
        "id": new_ulid(),
        "cart_id": cart_id,
        "variant_id": variant.variant_id,
        "quantity": quantity,
        "seen_price": variant.price,
        "currency": variant.currency,
    }


def _check_for_sale(line: Line, facts: Facts, field: Sequence[str]) -> None:
    variant = facts.variants.get(line.variant_id)
    if variant is None:
        raise Rejected("NOT_FOUND", "There is no such product.", field, {MISSING: [line.variant_id]})
    if not variant.purchasable or variant.partner_id in facts.closed_partners:
        raise Rejected("NOT_FOUND", f"{variant.name} is not for sale.", field)


def _check_limit(variant: Variant | None, quantity: int, field: Sequence[str]) -> None:
    if variant and variant.purchase_limit is not None and quantity > variant.purchase_limit:
        raise Rejected("INVALID", f"At most {variant.purchase_limit} of {variant.name} an order.", field)


async def _open(tx: AsyncConnection, user_id: str | None, cart_id: str | None, now: datetime) -> str:
    """The cart to change, its row held. A signed-in user without a cart keeps the anonymous one as his own."""
    own = await _own_cart(tx, user_id) if user_id else None
    if cart_id is None:
        cart_id = own or await _create(tx, user_id, now)
    await _touch(tx, user_id, cart_id, now)
    if user_id and own is None:
        await tx.execute(update(_carts).where(_carts.c.id == cart_id).values(buyer_id=user_id))
    return cart_id


async def _own_cart(tx: AsyncConnection, user_id: str) -> str | None:
    return (await tx.execute(select(_carts.c.id).where(_carts.c.buyer_id == user_id))).scalar_one_or_none()


async def _create(tx: AsyncConnection, user_id: str | None, now: datetime) -> str:
    row = {
        "id": new_ulid(),
        "buyer_id": user_id,
        "checkout_token": secrets.token_urlsafe(24),
        "version": 0,
        "updated_at": now,
    }
    if await insert_ignore(tx, _carts, [row]) == 0 and user_id:
        return await _own_cart(tx, user_id) or str(row["id"])
    return str(row["id"])


async def _touch(tx: AsyncConnection, user_id: str | None, cart_id: str, now: datetime) -> None:
    mine: ColumnElement[bool] = _carts.c.buyer_id.is_(None)
    if user_id:
        mine = or_(mine, _carts.c.buyer_id == user_id)
    touched = update(_carts).where(_carts.c.id == cart_id, mine)
    result = await tx.execute(touched.values(version=_carts.c.version + 1, updated_at=now))
    if result.rowcount != 1:
        raise Rejected("NOT_FOUND", "There is no such cart, or it has been ordered already.", ["cartId"])
