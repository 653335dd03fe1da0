"""``dure audit``: every invariant recomputed from the tables, within each subgraph and across them.

Databases are read one after another while the shop may be running, so a difference counts only if a second look, a
moment later, still finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, column, func, or_, select, table
from sqlalchemy.exc import DBAPIError

from db.columns import UtcDateTime
from dure import subgraphs
from dure.assembly import build, make_broker, make_changes, make_runtime, make_simulator
from dure.errors import StartError
from dure.settings import Settings
from subgraphs.delivery.models import shipments
from subgraphs.kit.subgraph import Runtime, Subgraph, Violation, utc_now
from subgraphs.orders.models import Order, Return
from subgraphs.payments import app as payments_app
from subgraphs.payments.audit import audit_provider
from subgraphs.payments.models import payments, refunds
from subgraphs.payments.provider import Provider, ProviderError
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.transport import AsgiSender, HttpSender, NoAnswer
from subgraphs.products.models import Reservation

LOOK_AGAIN_SECONDS = 1.0
SETTLED = timedelta(minutes=2)
"""An event older than this has arrived everywhere, or something is wrong."""

SOLD = ("PAID", "PREPARING", "SHIPPED", "DELIVERED", "CONFIRMED", "RETURNED")
ENDED = ("CANCELED", "EXPIRED")

_outbox = table("outbox", column("id"), column("type"), column("time", UtcDateTime()), column("published_at"))
_inbox = table("inbox", column("event_id"))
_dead_letters = table("dead_letters", column("event_id"))
_orders, _returns = Order.__table__, Return.__table__
_reservations = Reservation.__table__


@dataclass(frozen=True, slots=True)
class Shop:
    """The subgraphs and what they stand on, by name."""

    built: Mapping[str, Subgraph]
    runtimes: Mapping[str, Runtime]
    provider: Provider

    async def rows(self, name: str, query: Select[Any]) -> list[Any]:
        async with self.runtimes[name].database.read() as connection:
            return list((await connection.execute(query)).all())


async def run(settings: Settings) -> list[Violation]:
    """Every violation; empty is healthy. Raises StartError when a database or the provider cannot be asked."""
    async with AsyncExitStack() as stack:
        shop = await _open(settings, stack)
        try:
            found = await look(shop)
            if not found:
                return []
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            again = set(await look(shop))
        except (NoAnswer, ProviderError) as error:
            raise StartError(f"the payment provider cannot be asked: {error}") from None
        except DBAPIError as error:
            raise StartError(f"a database cannot be read: {error.orig}; `dure migrate` makes its tables") from None
        return [violation for violation in found if violation in again]


async def look(shop: Shop) -> list[Violation]:
    """The violations that one look finds."""
    found: list[Violation] = []
    for name, subgraph in shop.built.items():
        async with shop.runtimes[name].database.read() as connection:
            found += await subgraph.audit(connection)
    async with shop.runtimes["payments"].database.read() as connection:
        found += await audit_provider(shop.provider, connection)
    return [
        *found,
        *await _orders_and_payments(shop),
        *await _returns_and_refunds(shop),
        *await _orders_and_goods(shop),
        *await _events(shop),
    ]


async def _orders_and_payments(shop: Shop) -> list[Violation]:
    """Paid if and only if exactly one capture of the same amount is kept."""
    orders = await shop.rows("orders", select(_orders.c.id, _orders.c.status, _orders.c.total))
    columns = (
        payments.c.payable_id,
        payments.c.captures,
        (payments.c.captured - payments.c.refunded).label("kept"),
        (payments.c.captured - payments.c.refunded + _given_back_afterwards()).label("sold_for"),
    )
    paid = {row.payable_id: row for row in await shop.rows("payments", _of_orders(columns))}
    found = []
    for order in orders:
        payment = paid.get(order.id)
        kept = payment.kept if payment is not None else 0
        if order.status in SOLD and (payment is None or payment.sold_for != order.total or payment.captures != 1):
            found.append(
                _wrong("paid_by_one_capture", f"order {order.id} is {order.status}; {kept} of {order.total} is kept")
            )
        if order.status in ENDED and kept:
            found.append(_wrong("ended_and_refunded", f"order {order.id} is {order.status}, and {kept} is kept"))
    known = {order.id for order in orders}
    return found + [
        _wrong("no_charge_without_order", f"{row.kept} is kept for order {order_id}, which does not exist")
        for order_id, row in paid.items()
        if row.kept and order_id not in known
    ]


def _given_back_afterwards() -> ColumnElement[Any]:
    """What returns and people gave back of a payment: the order was sold all the same."""
    wanted = or_(refunds.c.return_id.is_not(None), refunds.c.automatic.is_(False))
    made = refunds.c.payment_id == payments.c.id, refunds.c.status == "COMPLETED", wanted
    return func.coalesce(select(func.sum(refunds.c.amount)).where(*made).scalar_subquery(), 0)


async def _returns_and_refunds(shop: Shop) -> list[Violation]:
    """A return is refunded if and only if payments has given back its amount, or an operator says that it was given
    another way: then payments has not."""
    ended = (_returns.c.id, _returns.c.status, _returns.c.refund_amount, _returns.c.given_otherwise)
    made = select(refunds.c.return_id, refunds.c.amount).where(
        refunds.c.return_id.is_not(None), refunds.c.status == "COMPLETED"
    )
    given = {row.return_id: row.amount for row in await shop.rows("payments", made)}
    found = []
    for row in await shop.rows("orders", select(*ended)):
        by_refund = row.status == "REFUNDED" and row.given_otherwise is None
        amount, wanted = given.pop(row.id, 0), row.refund_amount if by_refund else 0
        if amount != wanted:
            found.append(_wrong("returned_and_refunded", f"return {row.id} is {row.status}; {amount} was given back"))
    return found + [_wrong("no_refund_without_return", f"{amount} for {id}") for id, amount in given.items()]


def _of_orders(columns: Iterable[ColumnElement[Any]]) -> Select[Any]:
    return select(*columns).where(payments.c.payable_type == "Order")


async def _orders_and_goods(shop: Shop) -> list[Violation]:
    """A paid order has its units and its shipments; an order that ended has neither."""
    orders = await shop.rows("orders", select(_orders.c.id, _orders.c.status))
    held = {
        row.order_id: row.state
        for row in await shop.rows("products", select(_reservations.c.order_id, _reservations.c.state))
    }
    going = select(shipments.c.order_id).where(shipments.c.status != "CANCELED", shipments.c.order_id.is_not(None))
    sent = {row.order_id for row in await shop.rows("delivery", going)}
    found = []
    for order in orders:
        state, has_shipment = held.get(order.id), order.id in sent
        if order.status in SOLD and (state not in ("COMMITTED", "SHIPPED") or not has_shipment):
            detail = f"order {order.id} is {order.status}; its units are {state}, shipment: {has_shipment}"
            found.append(_wrong("paid_has_goods", detail))
        if order.status in ENDED and (state in ("HELD", "COMMITTED", "SHIPPED") or has_shipment):
            detail = f"order {order.id} is {order.status}; its units are {state}, shipment: {has_shipment}"
            found.append(_wrong("ended_has_no_goods", detail))
    return found


async def _events(shop: Shop) -> list[Violation]:
    """Every event has left its outbox, and was handled or buried by everyone who consumes its type."""
    until = datetime.now(UTC) - SETTLED
    found = []
    taken = {name: await _taken(shop, name) for name in shop.built}
    for name in shop.built:
        rows = await shop.rows(
            name, select(_outbox).where(or_(_outbox.c.published_at.is_not(None), _outbox.c.time < until))
        )
        for row in rows:
            if row.published_at is None:
                found.append(_wrong("outbox_drained", f"{row.type} {row.id} of {name} has not left its outbox"))
                continue
            missed = [other for other in _consumers(row.type) if row.id not in taken[other]]
            if missed and row.time < until:
                found.append(_wrong("event_consumed", f"{row.type} {row.id} was not handled by {', '.join(missed)}"))
    return found


async def _taken(shop: Shop, name: str) -> set[str]:
    handled = await shop.rows(name, select(_inbox.c.event_id))
    buried = await shop.rows(name, select(_dead_letters.c.event_id))
    return {row.event_id for row in (*handled, *buried)}


def _consumers(event_type: str) -> list[str]:
    return [name for name, entry in subgraphs.ALL.items() if any(each.type == event_type for each in entry.consumes)]


def _wrong(invariant: str, detail: str) -> Violation:
    return Violation(f"dure.{invariant}", detail)


async def _open(settings: Settings, stack: AsyncExitStack) -> Shop:
    broker = make_broker(settings)
    stack.push_async_callback(broker.close)
    runtimes = {name: make_runtime(settings, name, broker, make_changes(settings)) for name in subgraphs.ALL}
    for runtime in runtimes.values():
        stack.push_async_callback(runtime.database.close)
    built = {name: build(name, runtime) for name, runtime in runtimes.items()}
    return Shop(built, runtimes, provider_of(settings, stack.push_async_callback))


def provider_of(settings: Settings, at_the_end: Callable[..., Any]) -> Provider:
    """The provider over HTTP where it is a process of its own, else the simulator's books beside our own."""
    chosen = PaymentSettings()
    given = chosen.provider_url if "provider_url" in chosen.model_fields_set else None
    if given or settings.broker_url:
        sender = HttpSender(
            given or f"http://127.0.0.1:{settings.provider_port}",
            connect_seconds=chosen.provider_connect_seconds,
            timeout_seconds=chosen.provider_timeout_seconds,
        )
        at_the_end(sender.close)
        return payments_app.provider_of(chosen, sender, utc_now)
    return payments_app.provider_of(chosen, AsgiSender(make_simulator(settings)), utc_now)
