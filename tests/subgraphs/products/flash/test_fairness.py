"""The report says how fair a sale was, and an unfair one looks unfair."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from messaging.events.orders import StockReleaseRequested
from subgraphs.products.flash.domain import drawn
from subgraphs.products.flash.fairness import Claim, Facts, Fairness, Ticket, read, report
from subgraphs.products.flash.models import tickets
from tests.subgraphs.products.conftest import World
from tests.subgraphs.products.flash.test_claims import open_sale, request

OPENS = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEED = "5eed"


def after(seconds: float) -> datetime:
    return OPENS + timedelta(seconds=seconds)


def line_of(early: int, later: int, admitted: int) -> list[Ticket]:
    """A line as it should be: drawn before the opening, in turn afterwards, let in by number, one a second."""
    came = {f"t{number}": after(number - early) for number in range(early)}
    order = drawn(came, SEED) + [f"t{number}" for number in range(early, early + later)]
    came |= {f"t{number}": after(number - early + 0.5) for number in range(early, early + later)}
    return [
        Ticket(
            id, f"u{id}", n, "ADMITTED" if n <= admitted else "WAITING", came[id], after(n) if n <= admitted else None
        )
        for n, id in enumerate(order, start=1)
    ]


def facts(line: list[Ticket], *claims: Claim, limits: int = 1) -> Facts:
    return Facts("sale", "Sale", OPENS, OPENS, SEED, 10, limits, line, claims)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_a_line_that_was_kept_has_no_inversions(early: int, later: int, admitted: int) -> None:
    found = report(facts(line_of(early, later, admitted)))
    assert found.as_drawn is (True if early else None)
    assert (found.later_against_arrival.inversions, found.admitted_against_number.inversions) == (0, 0)
    assert found.admitted_against_number.displaced == found.later_against_arrival.displaced == 0
    assert found.admitted_against_number.people == min(admitted, early + later)
    assert found.later_against_arrival.tau in ((None,) if later < 2 else (1.0,))


def test_a_lot_has_nothing_to_do_with_arrival() -> None:
    order = report(facts(line_of(400, 0, 0))).drawn_against_arrival
    assert order.tau is not None
    assert abs(order.tau) < 0.15
    assert order.inversions > 0


def test_somebody_who_jumped_the_queue_is_seen() -> None:
    """The last of ten was let in first: nine inversions, nine places away."""
    line = line_of(0, 10, 10)
    line[9] = replace(line[9], admitted_at=after(0.1))
    order = report(facts(line)).admitted_against_number
    assert (order.inversions, order.displaced) == (9, 9)
    assert order.tau is not None
    assert round(order.tau, 3) == 0.6


def test_those_let_in_at_the_same_moment_are_in_order() -> None:
    line = [replace(ticket, admitted_at=after(5)) for ticket in line_of(6, 6, 12)]
    order = report(facts(line)).admitted_against_number
    assert (order.inversions, order.tau, order.displaced) == (0, 1.0, 0)


def test_numbers_that_the_seed_does_not_give_are_seen() -> None:
    line = line_of(10, 0, 0)
    line[0], line[9] = replace(line[0], number=10), replace(line[9], number=1)
    assert report(facts(line)).as_drawn is False


def test_waits_begin_with_the_opening_or_with_coming() -> None:
    found = report(facts(line_of(1, 1, 2)))
    assert (found.wait_seconds.people, found.wait_seconds.p50, found.wait_seconds.most) == (2, 1.0, 1.5)


def test_more_than_the_limit_is_seen() -> None:
    claim = Claim("t0", "ut0", 1, "HELD", after(2), None, None)
    line = line_of(2, 0, 2)
    assert report(facts(line, claim, claim)).over_their_limit == 1
    assert report(facts(line, claim, replace(claim, state="EXPIRED"))).over_their_limit == 0
    assert report(facts(line, claim, claim, limits=2)).customers_by_units == {2: 1}


async def test_of_a_real_sale(world: World) -> None:
    """One buys, one's claim runs out, one's order fails, one never claims, one waits in vain."""
    sale = await open_sale(world, units=3)
    line = [await sale.buyer() for _ in range(5)]
    world.clock.move(timedelta(seconds=1))
    await sale.flash.tick()
    kept, failed, lost = [await sale.claim(*buyer) for buyer in line[:3]]
    orders = [request(claim, user, sale.variant) for claim, (user, _) in zip((kept, failed), line, strict=False)]
    await world.tell(*orders)
    await world.tell(StockReleaseRequested(order_id=orders[1].order_id))
    world.clock.move(timedelta(hours=2))
    await sale.flash.tick()
    found = await _report(world, sale.id)
    assert found.came_to == {
        "ordered": 1,
        "order failed": 1,
        "claim ran out": 1,
        "let in, nothing claimed": 1,
        "sale ended before the turn": 1,
    }
    assert lost
    assert (found.units, found.tickets, found.customers_by_units) == (3, 5, {1: 1})
    assert (found.later_against_arrival.people, found.later_against_arrival.inversions) == (5, 0)
    assert found.wait_seconds.p50 == found.wait_seconds.most == 1.0
    async with world.database.transaction() as tx:
        first = tickets.c.id == line[0][1]
        await tx.execute(update(tickets).where(first).values(admitted_at=world.clock()))
    assert (await _report(world, sale.id)).admitted_against_number.inversions == 3
    async with world.database.read() as connection:
        assert await read(connection, "0" * 26) is None


async def _report(world: World, sale_id: str) -> Fairness:
    async with world.database.read() as connection:
        facts = await read(connection, sale_id)
    assert facts is not None
    return await asyncio.to_thread(report, facts)
