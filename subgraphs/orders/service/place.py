"""Placing orders, many in one transaction: decide on the copies, write order and saga, ask for the stock."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Row, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import insert_rows
from db.failpoints import failpoint
from db.ids import ALPHABET
from messaging import outbox
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.money import InvalidAmount, to_decimal, to_minor
from subgraphs.orders import models
from subgraphs.orders.domain import placing
from subgraphs.orders.domain.placing import MISSING, Line, Priced
from subgraphs.orders.domain.saga import placed
from subgraphs.orders.service import claimed, telling
from subgraphs.orders.service.copies import Facts, facts_for
from subgraphs.orders.service.saga import SEOUL, SOURCE, new_saga_row
from subgraphs.orders.settings import Settings


@dataclass(frozen=True, slots=True)
class CartRef:
    """The cart to order, as the buyer saw it."""

    cart_id: str
    version: int


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A buyer's wish to order: these ``lines``, or what is in ``cart``. ``payment_method_id`` None: pays by himself."""

    buyer_id: str
    source: str
    address_id: str
    payment_method_id: str | None
    expected_total: Decimal
    request: idempotency.Request
    lines: tuple[Line, ...] = ()
    cart: CartRef | None = None
    claim_id: str | None = None
    """The claim of a flash sale whose units and price the order takes."""


NewOrder = SimpleNamespace
"""An order as ``order_rows`` would read it, known without reading it."""
Placed = NewOrder | str | Rejected
"""The new order, or the id of the one that an earlier command under the same key has placed, or why there is none."""


async def place_orders(
    tx: AsyncConnection, commands: Sequence[PlaceOrder], now: datetime, settings: Settings
) -> list[Placed]:
    """What became of each command.

    Raises InFlight when an idempotency key stands twice among ``commands``.
    """
    ids = [new_ulid() for _ in commands]
    requests = [command.request for command in commands]
    earlier = await idempotency.claim(tx, models.idempotency, requests, [{"order": id} for id in ids])
    results: list[Placed | None] = [
        answer if answer is None or isinstance(answer, Rejected) else str(answer["order"]) for answer in earlier
    ]
    fresh = [index for index, result in enumerate(results) if result is None]
    carts = await _lock_carts(tx, [commands[index].cart for index in fresh])
    facts = await _facts(tx, [commands[index] for index in fresh], carts)
    held = await claimed.lock(tx, [commands[index].claim_id for index in fresh])
    taken: set[str] = set()
    accepted: list[tuple[int, PlaceOrder, Priced]] = []
    refused: list[PlaceOrder] = []
    for index in fresh:
        command = commands[index]
        try:
            priced = _decide(command, carts, claimed.priced(command, facts, held, taken, now), taken)
        except Rejected as rejected:
            results[index] = rejected
            refused.append(command)
        else:
            accepted.append((index, command, priced))
            taken |= {each for each in (command.claim_id, command.cart and command.cart.cart_id) if each}
    await _forget_keys(tx, refused)
    new = {index: _new_rows(ids[index], command, priced, facts, now, settings) for index, command, priced in accepted}
    await _write(tx, list(new.values()))
    for index, rows in new.items():
        results[index] = rows.seen
    failpoint("orders.place.before_commit")
    return [result for result in results if result is not None]


@dataclass(frozen=True, slots=True)
class _Cart:
    row: Row[Any]
    lines: tuple[Line, ...]


async def _lock_carts(tx: AsyncConnection, refs: Sequence[CartRef | None]) -> dict[str, _Cart]:
    ids = sorted({ref.cart_id for ref in refs if ref})
    if not ids:
        return {}
    table, lines = models.carts, models.cart_lines
    locked = await tx.execute(select(table).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update())
    rows = {row.id: row for row in locked}
    held: dict[str, list[Line]] = {id: [] for id in rows}
    for line in await tx.execute(select(lines).where(lines.c.cart_id.in_(ids)).order_by(lines.c.id)):
        if line.cart_id in held:
            held[line.cart_id].append(Line(line.variant_id, line.quantity))
    return {id: _Cart(row, tuple(held[id])) for id, row in rows.items()}


def _lines(command: PlaceOrder, carts: Mapping[str, _Cart]) -> tuple[Line, ...]:
    if command.cart is None:
        return command.lines
    cart = carts.get(command.cart.cart_id)
    return cart.lines if cart else ()


async def _facts(tx: AsyncConnection, commands: Sequence[PlaceOrder], carts: Mapping[str, _Cart]) -> Facts:
    return await facts_for(
        tx,
        variant_ids={line.variant_id for command in commands for line in _lines(command, carts)},
        address_ids={command.address_id for command in commands},
        payment_method_ids={command.payment_method_id for command in commands if command.payment_method_id},
        user_ids={command.buyer_id for command in commands},
    )


def _decide(command: PlaceOrder, carts: Mapping[str, _Cart], facts: Facts, taken: set[str]) -> Priced:
    _check_buyer(command, facts)
    _check_cart(command, carts, taken)
    field = ["input", "cartId" if command.cart else "lines"]
    lines = _lines(command, carts)
    address = facts.addresses.get(command.address_id)
    if address is None or address.user_id != command.buyer_id or address.deleted:
        unknown = [] if address else [command.address_id]
        raise Rejected("NOT_FOUND", "You have no such address.", ["input", "addressId"], {MISSING: unknown})
    _check_payment_method(command, facts)
    priced = placing.price(
        lines, facts.variants, facts.profiles, facts.closed_partners, remote=address.remote_area, field=field
    )
    _check_total(command, priced)
    return priced


def _check_buyer(command: PlaceOrder, facts: Facts) -> None:
    user = facts.users.get(command.buyer_id)
    if user is None or user.deleted or not user.email_verified:
        unknown = [] if user else [command.buyer_id]
        raise Rejected("NOT_ALLOWED", "Verify your e-mail address before you order.", ["input"], {MISSING: unknown})


def _check_cart(command: PlaceOrder, carts: Mapping[str, _Cart], taken: set[str]) -> None:
    if command.cart is None:
        return
    cart = carts.get(command.cart.cart_id)
    mine = cart is not None and cart.row.buyer_id in (None, command.buyer_id)
    if cart is None or not mine or command.cart.cart_id in taken:
        raise Rejected("NOT_FOUND", "There is no such cart, or it has been ordered already.", ["input", "cartId"])
    if cart.row.version != command.cart.version:
        raise Rejected("VERSION_CONFLICT", "The cart has changed: look at it again.", ["input", "cartVersion"])
    if not cart.lines:
        raise Rejected("CART_EMPTY", "There is nothing in the cart.", ["input", "cartId"])


def _check_payment_method(command: PlaceOrder, facts: Facts) -> None:
    if command.payment_method_id is None:
        return
    field = ["input", "paymentMethodId"]
    method = facts.payment_methods.get(command.payment_method_id)
    if method is None or method.user_id != command.buyer_id:
        unknown = [] if method else [command.payment_method_id]
        raise Rejected("NOT_FOUND", "You have no such payment method.", field, {MISSING: unknown})
    if method.status != "ACTIVE":
        raise Rejected("PAYMENT_METHOD_REQUIRED", "This payment method can no longer be used.", field)


def _check_total(command: PlaceOrder, priced: Priced) -> None:
    field = ["input", "expectedTotal"]
    if not priced.total:
        raise Rejected("NOT_ALLOWED", "There is nothing to pay: goods without a price are not sold.", field)
    try:
        expected = to_minor(command.expected_total, priced.currency)
    except InvalidAmount as error:
        raise Rejected("INVALID", str(error), field) from None
    if expected != priced.total:
        amount = to_decimal(priced.total, priced.currency)
        raise Rejected("PRICE_CHANGED", f"The total is now {amount} {priced.currency}.", field)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a new order, and how it is ``seen``."""

    order: dict[str, Any]
    lines: list[dict[str, Any]]
    saga: dict[str, Any]
    seen: NewOrder


_NOTHING = dict.fromkeys(models.orders.c.keys())
"""A new order has no date of payment yet, nor of much else."""


def _new_rows(id: str, command: PlaceOrder, priced: Priced, facts: Facts, now: datetime, settings: Settings) -> _Rows:
    order = _order_row(id, command, priced, facts, now)
    saga = new_saga_row(id, placed(), now, ask_again_after=settings.ask_again_after, ttl=settings.reservation_ttl)
    return _Rows(order, _line_rows(id, priced), saga, NewOrder(**{**_NOTHING, **order, **saga}))


def _order_row(id: str, command: PlaceOrder, priced: Priced, facts: Facts, now: datetime) -> dict[str, Any]:
    address = facts.addresses[command.address_id]
    return {
        "id": id,
        "number": order_number(now),
        "buyer_id": command.buyer_id,
        "cart_id": command.cart.cart_id if command.cart else None,
        "claim_id": command.claim_id,
        "source": command.source,
        "status": "PENDING",
        "currency": priced.currency,
        "subtotal": priced.subtotal,
        "discount": 0,
        "shipping": priced.shipping,
        "total": priced.total,
        "payment_method_id": command.payment_method_id,
        "address_id": command.address_id,
        "recipient": address.recipient,
        "phone": address.phone,
        "postal_code": address.postal_code,
        "line1": address.line1,
        "line2": address.line2,
        "delivery_note": address.delivery_note,
        "fulfillment_status": "UNFULFILLED",
        "placed_at": now,
    }


def order_number(now: datetime) -> str:
    """What people read out: the day in Seoul and 60 random bits. The payment provider takes it as its ``orderId``."""
    random = int.from_bytes(os.urandom(8))
    letters = "".join([ALPHABET[random >> shift & 31] for shift in range(0, 60, 5)])
    return f"{now.astimezone(SEOUL):%Y%m%d}-{letters[:4]}-{letters[4:8]}-{letters[8:]}"


def _line_rows(order_id: str, priced: Priced) -> list[dict[str, Any]]:
    return [
        {
            "id": new_ulid(),
            "order_id": order_id,
            "position": position,
            "variant_id": line.variant.variant_id,
            "product_id": line.variant.product_id,
            "partner_id": line.variant.partner_id,
            "product_name": line.variant.name,
            "sku": line.variant.sku,
            "quantity": line.quantity,
            "unit_price": line.variant.price,
            "total": line.total,
            "currency": priced.currency,
        }
        for position, line in enumerate(priced.lines)
    ]


async def _write(tx: AsyncConnection, new: Sequence[_Rows]) -> None:
    if not new:
        return
    events = [telling.placed(each.seen, [SimpleNamespace(**line) for line in each.lines]) for each in new]
    await insert_rows(tx, models.orders, [each.order for each in new])
    await insert_rows(tx, models.order_lines, [line for each in new for line in each.lines])
    await insert_rows(tx, models.sagas, [each.saga for each in new])
    await outbox.record(tx, models.outbox, SOURCE, events)
    ordered = [each.order["cart_id"] for each in new if each.order["cart_id"]]
    if ordered:
        await tx.execute(delete(models.cart_lines).where(models.cart_lines.c.cart_id.in_(ordered)))
        await tx.execute(delete(models.carts).where(models.carts.c.id.in_(ordered)))


async def _forget_keys(tx: AsyncConnection, refused: Sequence[PlaceOrder]) -> None:
    """A refused command leaves nothing, its key included: corrected, it may come again under the same key."""
    if not refused:
        return
    table = models.idempotency
    keys = [(command.request.scope, command.request.key) for command in refused]
    await tx.execute(delete(table).where(tuple_(table.c.scope, table.c.key).in_(keys)))
