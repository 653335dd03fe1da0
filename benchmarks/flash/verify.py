"""After the rush: exactly the units were sold, nobody has two, and what was told to a customer is so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from benchmarks.flash.customers import Told
from benchmarks.shop.seed import buyer_id
from db.session import Database
from subgraphs.orders.models import Order
from subgraphs.payments.models import payments
from subgraphs.products.flash.domain import KEEPING
from subgraphs.products.flash.models import claims, items

ORDERS = Order.__table__
PAID = frozenset({"PAID", "PREPARING", "SHIPPED", "DELIVERED", "CONFIRMED"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tables say of one sale: claims and their orders by id, captures by order."""

    claims: Mapping[str, Any]
    orders: Mapping[str, Any]
    captures: Mapping[str, int]


async def facts(database_of: Callable[[str], str], sale_id: str) -> Facts:
    """Read them from the databases of three subgraphs."""
    async with Database(database_of("products")) as products, products.read() as connection:
        query = select(claims).join(items, items.c.id == claims.c.item_id).where(items.c.sale_id == sale_id)
        found = {row.id: row for row in await connection.execute(query)}
    async with Database(database_of("orders")) as orders, orders.read() as connection:
        mine = select(ORDERS.c.id, ORDERS.c.buyer_id, ORDERS.c.status, ORDERS.c.claim_id)
        on_claims = mine.where(ORDERS.c.claim_id.is_not(None))
        placed = {row.id: row for row in await connection.execute(on_claims) if row.claim_id in found}
    captures: Counter[str] = Counter()
    async with Database(database_of("payments")) as paid, paid.read() as connection:
        taken = select(payments.c.payable_id, payments.c.captures, payments.c.captured, payments.c.refunded)
        for row in await connection.execute(taken.where(payments.c.payable_type == "Order")):
            if row.captured > row.refunded:
                captures[row.payable_id] += row.captures
    return Facts(found, placed, captures)


def problems(facts: Facts, units: int, told: Told | None = None) -> list[str]:
    """Everything that is not as it must be once all units are sold; empty is well."""
    kept = [row for row in facts.claims.values() if row.state in KEEPING]
    found = []
    if (sold := sum(row.quantity for row in kept)) != units:
        found.append(f"{sold} units are claimed, there were {units}")
    found += _twice(kept)
    paid = {row.id: row for row in facts.orders.values() if row.status in PAID}
    if {row.claim_id for row in paid.values()} != {row.id for row in kept} or len(paid) != len(kept):
        found.append(f"{len(paid)} orders are paid on {len(kept)} claims")
    found += [
        f"order {id} is {row.status} with {facts.captures.get(id, 0)} captures"
        for id, row in facts.orders.items()
        if facts.captures.get(id, 0) != (id in paid)
    ]
    return found + (_broken_promises(facts, told, set(paid)) if told is not None else [])


def _twice(kept: Sequence[Any]) -> list[str]:
    return [f"customer {user} has {n} claims" for user, n in Counter(row.user_id for row in kept).items() if n > 1]


def _broken_promises(facts: Facts, told: Told, paid: set[str]) -> list[str]:
    """What customers were told and the tables do not know."""
    found = []
    for what, promised, rows, whose in (
        ("claim", told.claims, facts.claims, "user_id"),
        ("order", told.orders, facts.orders, "buyer_id"),
    ):
        for id, number in promised.items():
            if id not in rows:
                found.append(f"{what} {id} was acknowledged and is not there")
            elif getattr(rows[id], whose) != buyer_id(number):
                found.append(f"{what} {id} is another customer's")
    return found + [f"order {id} was told to be paid and is not" for id in told.paid if id not in paid]
