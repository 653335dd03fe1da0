"""Many watch a line: the database is looked at once for all of them, and each hears what concerns him."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.session import Database
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id
from subgraphs.products.flash.line import Counters, Line
from tests.subgraphs.products.conftest import SECRET, World
from tests.subgraphs.products.flash.test_claims import Sale, open_sale
from tests.support.waiting import eventually

WATCH = """subscription($id: ID!) {
  queueTicketUpdated(id: $id) { status position estimatedWaitSeconds admissionToken } }"""


async def watch(world: World, user: str, ticket: str) -> AsyncIterator[Any]:
    """What the customer's stream brings: tickets, or errors."""
    headers = {CLAIMS_HEADER: sign_claims(SECRET, {"sub": user, "scopes": [], "exp": time.time() + 60})}
    given = {"id": global_id("QueueTicket", ticket)}
    async for answer in world.subgraph.endpoint.subscribe(WATCH, given, None, headers):
        yield answer["data"]["queueTicketUpdated"] if answer.get("data") else answer["errors"]


class Watchers:
    """Customers' streams, each followed to its end."""

    def __init__(self, world: World, line: list[tuple[str, str]]) -> None:
        self.heard: list[list[Any]] = [[] for _ in line]
        self._tasks = [asyncio.create_task(self._follow(world, *each)) for each in enumerate(line)]

    async def _follow(self, world: World, at: int, buyer: tuple[str, str]) -> None:
        async for each in watch(world, *buyer):
            self.heard[at].append(each)

    async def all_heard(self, check: Callable[[list[Any]], bool]) -> None:
        async def said() -> bool:
            return all(each and check(each) for each in self.heard)

        await eventually(said)

    async def ended(self) -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(*self._tasks)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def step(sale: Sale, seconds: float = 1.0) -> None:
    """The waiting room's worker looks, after some time."""
    sale.world.clock.move(timedelta(seconds=seconds))
    await sale.flash.tick()


async def test_each_hears_his_place_and_his_turn(world: World) -> None:
    """Those who are let in get their token at once; the others know that they came nearer; the end is told, too."""
    sale = await open_sale(world, units=5)
    line = [await sale.buyer() for _ in range(8)]
    watchers = Watchers(world, line)
    await watchers.all_heard(lambda heard: heard[-1]["position"] is not None)
    assert [heard[-1]["position"] for heard in watchers.heard] == list(range(1, 9))
    await step(sale)
    await watchers.all_heard(lambda heard: bool(heard[-1]["admissionToken"]) or heard[-1]["position"] <= 2)
    assert [heard[-1]["status"] for heard in watchers.heard] == ["ADMITTED"] * 6 + ["WAITING"] * 2
    assert [heard[-1]["position"] for heard in watchers.heard[6:]] == [1, 2]
    await step(sale, 2 * 60 * 60)
    await watchers.all_heard(lambda heard: heard[-1]["status"] in ("LEFT", "EXPIRED"))
    assert [heard[-1]["status"] for heard in watchers.heard[6:]] == ["LEFT"] * 2
    await watchers.ended()


async def test_the_end_of_the_sale_ends_the_stream(world: World) -> None:
    sale = await open_sale(world, units=1)
    watchers = Watchers(world, [await sale.buyer() for _ in range(3)])
    await watchers.all_heard(lambda heard: heard[-1]["position"] is not None)
    world.clock.move(timedelta(hours=2))
    await sale.flash.tick()
    await watchers.ended()
    assert [heard[-1]["status"] for heard in watchers.heard] == ["LEFT"] * 3


async def test_many_watchers_cost_the_database_no_more_than_one(world: World) -> None:
    """A step of the line is one question, whether one or sixty watch: nobody's ticket is read who was not let in."""
    sale = await open_sale(world, units=100)
    for _ in range(50):
        await sale.buyer()
    for watching in (1, 60):
        asked = await _questions_of_a_step(sale, watching)
        assert 1 <= asked <= 2, f"{watching} watch"  # at most one look more, at what was told before the step


async def _questions_of_a_step(sale: Sale, watching: int) -> int:
    watchers = Watchers(sale.world, [await sale.buyer() for _ in range(watching)])
    await watchers.all_heard(lambda heard: heard[-1]["position"] is not None)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "admitted_through" in statement and statement.startswith("SELECT") and "starts_at" not in statement:
            asked.append(statement)

    engine = sale.world.database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        await step(sale)
        await watchers.all_heard(lambda heard: heard[-1]["position"] < heard[0]["position"])
    finally:
        event.remove(engine, "before_cursor_execute", note)
    await watchers.leave()
    return len(asked)


async def test_a_line_that_nobody_watches_is_not_followed(world: World) -> None:
    sale = await open_sale(world, units=1)
    watchers = Watchers(world, [await sale.buyer() for _ in range(3)])
    await watchers.all_heard(bool)
    assert world.changes.board.topics == {f"flash-line:{sale.id}"}
    await watchers.leave()

    async def quiet() -> bool:
        return not world.changes.board.topics

    await eventually(quiet)


async def test_a_line_that_cannot_be_followed_is_an_error_and_no_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = await open_sale(world, units=1)

    def broken(self: Line, counters: Counters) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Line, "turn", broken)
    watchers = Watchers(world, [await sale.buyer() for _ in range(2)])
    await watchers.ended()
    assert [heard[-1][0]["extensions"]["code"] for heard in watchers.heard] == ["SERVICE_UNAVAILABLE"] * 2


async def test_a_database_that_is_away_fails_all_who_asked_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt for all of them: were it one after the other, the last would wait for minutes."""
    sale = await open_sale(world, units=1)
    user, ticket = await sale.buyer()
    attempts = 0

    def away(self: Database) -> None:
        nonlocal attempts
        attempts += 1
        raise PoolTimeout("no connection is free")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "read", away)
        asked = (sale.flash.lines.ticket(ticket, user) for _ in range(50))
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in found} == {PoolTimeout}
    assert attempts <= 2
    assert await sale.flash.lines.ticket(ticket, user) is not None


async def test_anothers_ticket_is_not_watched(world: World) -> None:
    sale = await open_sale(world, units=1)
    (user, _), (_, ticket) = await sale.buyer(), await sale.buyer()
    watchers = Watchers(world, [(user, ticket)])
    await watchers.ended()
    assert watchers.heard[0][-1][0]["extensions"]["code"] == "BAD_USER_INPUT"


STOCK = "subscription($id: ID!) { flashSaleItemUpdated(saleId: $id) { remainingQuantity } }"


async def test_many_who_watch_what_is_left_ask_the_database_together(world: World) -> None:
    """Forty watch without being signed in; a claim is news for each of them, and not forty questions."""
    sale = await open_sale(world, units=5)
    headers = {CLAIMS_HEADER: sign_claims(SECRET, {"sub": None, "scopes": [], "exp": time.time() + 60})}
    given = {"id": global_id("FlashSale", sale.id)}
    streams = [world.subgraph.endpoint.subscribe(STOCK, given, None, headers) for _ in range(40)]
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "flash_sale_item" in statement and "drawn_at" not in statement:
            asked.append(statement)

    async with asyncio.timeout(20):
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        claim = await sale.claim(*await sale.buyer())
        engine = world.database._reader.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            second = await asyncio.gather(*(anext(stream) for stream in streams))
        finally:
            event.remove(engine, "before_cursor_execute", note)
    assert len(claim) == 26
    for heard, left in ((first, 5), (second, 4)):
        assert {each["data"]["flashSaleItemUpdated"]["remainingQuantity"] for each in heard} == {left}
    assert len(asked) <= 10, "they were asked for together"
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
