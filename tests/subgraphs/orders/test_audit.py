"""Each invariant, broken on purpose, is reported; a healthy shop reports nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from subgraphs.orders.models import dead_letters, order_lines, orders, sagas
from tests.subgraphs.orders.conftest import Shop, place
from tests.subgraphs.orders.test_steps import paid_order

Break = Callable[[str, Shop], Any]


def saga(**values: Any) -> Break:
    return lambda id, _: update(sagas).where(sagas.c.order_id == id).values(**values)


def order(**values: Any) -> Break:
    return lambda id, _: update(orders).where(orders.c.id == id).values(**values)


def dead_letter(_: str, shop: Shop) -> Any:
    row = {"event_id": "e", "type": "t", "payload": "[]", "error": "no", "attempts": 1, "died_at": shop.clock()}
    return insert(dead_letters).values(**row)


BREAKS: dict[str, tuple[bool, Break]] = {
    "an order that is sold has all four steps done": (True, saga(commit_stock="REQUESTED")),
    "an order whose four steps are done is sold": (True, order(status="PENDING")),
    "an order that has ended holds nothing": (True, order(status="CANCELED")),
    "a sold order was paid at some time": (True, order(paid_at=None)),
    "an unfinished saga moves on": (False, saga(ask_again_at=None)),
    "an unpaid order expires in time": (
        False,
        lambda id, shop: update(sagas).values(give_up_at=shop.clock() - timedelta(minutes=3)),
    ),
    "an order has its saga": (False, lambda id, _: delete(sagas).where(sagas.c.order_id == id)),
    "an order has lines": (False, lambda id, _: delete(order_lines).where(order_lines.c.order_id == id)),
    "an order's subtotal is the sum of its lines": (
        False,
        lambda id, _: update(orders).values(subtotal=orders.c.subtotal + 1, total=orders.c.total + 1),
    ),
    "an order's events can be handled": (False, dead_letter),
}


@pytest.mark.parametrize("invariant", BREAKS)
async def test_a_broken_invariant_is_reported(any_shop: Shop, invariant: str) -> None:
    paid, break_it = BREAKS[invariant]
    order_id = await paid_order(any_shop) if paid else await place(any_shop)
    await place(any_shop)
    assert await any_shop.audit() == []
    await any_shop.change(break_it(order_id, any_shop))
    assert invariant in {violation.invariant for violation in await any_shop.audit()}


async def test_a_total_that_is_not_the_sum_is_reported(shop: Shop) -> None:
    """The database itself refuses it; so the guard is switched off first."""
    order_id = await place(shop)
    async with shop.runtime.database._writer.connect() as connection:
        await connection.execute(text("PRAGMA ignore_check_constraints=ON"))
        await connection.execute(update(orders).where(orders.c.id == order_id).values(total=1))
        await connection.commit()
    found = {violation.invariant for violation in await shop.audit()}
    assert "an order's total is subtotal and shipping less discount" in found


async def test_a_question_long_overdue_is_reported(shop: Shop) -> None:
    await place(shop)
    shop.clock.forward(minutes=3)
    assert "an unfinished saga moves on" in {violation.invariant for violation in await shop.audit()}
    await shop.sweeper.sweep()
    assert await shop.audit() == []
