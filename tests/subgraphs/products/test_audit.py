"""Each invariant, broken on purpose, is reported; a healthy shop reports nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, update

from messaging.events.orders import StockCommitRequested
from subgraphs.products import models
from tests.subgraphs.products.conftest import World, order_of

LEVEL, MOVEMENT = models.StockLevel.__table__, models.StockMovement.__table__
RESERVATION, LINE = models.Reservation.__table__, models.ReservationLine.__table__
PRODUCT = models.Product.__table__


def _line_gone(state: str) -> Any:
    orders = RESERVATION.select().with_only_columns(RESERVATION.c.order_id).where(RESERVATION.c.state == state)
    return delete(LINE).where(LINE.c.order_id.in_(orders.scalar_subquery()))


@pytest.mark.parametrize(
    ("breaks", "invariant"),
    [
        (update(LEVEL).values(on_hand=LEVEL.c.on_hand + 1), "stock.ledger_explains_levels"),
        (update(LEVEL).values(reserved=LEVEL.c.reserved + 1), "stock.ledger_explains_levels"),
        (delete(MOVEMENT).where(MOVEMENT.c.type == "RECEIVED"), "stock.ledger_explains_levels"),
        (_line_gone("HELD"), "stock.reserved_is_held"),
        (_line_gone("COMMITTED"), "stock.allocated_is_committed"),
        (
            update(RESERVATION).where(RESERVATION.c.state == "HELD").values(state="EXPIRED"),
            "stock.ledger_of_order_matches_state",
        ),
        (update(PRODUCT).values(rating_total=5, rating_count=1), "products.ratings_are_those_of_reviews"),
    ],
)
async def test_what_is_broken_is_reported(world: World, breaks: Any, invariant: str) -> None:
    (variant,) = (await world.publish("Vitamin C", "C-1")).ulids
    held, sold = order_of(**{variant: 2}), order_of(**{variant: 3})
    await world.tell(held, sold)
    await world.tell(StockCommitRequested(order_id=sold.order_id))
    assert await world.violations() == []
    async with world.database.transaction() as tx:
        assert (await tx.execute(breaks)).rowcount > 0
    assert invariant in {each.invariant for each in await world.violations()}
