"""The rush: a sale is put up, everybody comes, and at given moments something is broken."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from sqlalchemy import func, select

from benchmarks.flash.client import App, Unexpected
from benchmarks.flash.customers import Customer, Sale, Told
from db.session import Database
from subgraphs.kit.ids import parse_id
from subgraphs.products.flash.domain import KEEPING
from subgraphs.products.flash.models import claims, items

CREATE = """mutation Create($name: String!, $from: DateTime!, $to: DateTime!, $items: [FlashSaleItemInput!]!) {
  flashSaleCreate(name: $name, startsAt: $from, endsAt: $to, items: $items) {
    flashSale { id items { id } } userErrors { code message } } }"""
LOOK_SECONDS = 0.1
LASTS = timedelta(minutes=30)
CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something to break once this share of the units is claimed."""

    name: str
    at: float
    make: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plan:
    """``tickets``: what ``seed tickets`` wrote. Seconds: until the sale opens, in which most of them come, and after
    which all must be over. ``late``: the share of customers who come after the opening."""

    tickets: dict[str, Any]
    units: int
    opening: float = 5.0
    within: float = 300.0
    late: float = 0.2
    troubles: Sequence[Trouble] = ()


@dataclass
class State:
    """What is shown while it runs, and what is verified afterwards."""

    told: Told
    app: App
    claimed: int = 0
    paid: int = 0
    began: float = 0.0
    seconds: float = 0.0
    sale_id: str = ""
    happened: list[str] = field(default_factory=list)


async def run(url: str, products: Database, plan: Plan, show: Callable[[State], None] = lambda state: None) -> State:
    """From the empty waiting room until every unit is paid. Raises Unexpected when that does not come to pass."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    streaming = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session,
        aiohttp.ClientSession(connector=streaming) as streams,
    ):
        app = App(url, session, streams)
        sale = await put_up(app, plan)
        state = State(Told(), app, sale_id=_bare(sale.id))
        over = asyncio.Event()
        people = [
            Customer(app, sale, number, person, state.told, over)
            for number, person in enumerate(plan.tickets["customers"])
        ]
        coming = [asyncio.create_task(each.come(_arrival(plan))) for each in people]
        try:
            watching = asyncio.create_task(_watch(state, products, _bare(sale.item), plan, coming, show))
            await _in_time(state, {watching}, plan.within, people)
            over.set()
            await _in_time(state, coming, 60, people)
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)
    show(state)
    return state


async def _in_time(
    state: State, tasks: Collection[asyncio.Task[None]], seconds: float, people: Sequence[Customer]
) -> None:
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in done:
        task.result()
    if late:
        for task in late:
            task.cancel()
        busy = Counter(each.doing for each in people).most_common(5)
        seen = f"{state.claimed} units are claimed, {state.paid} paid; customers: {busy}"
        raise Unexpected(f"after {seconds} s {len(late)} are not done: {seen}; came again: {state.app.again}")


async def put_up(app: App, plan: Plan) -> Sale:
    """A new sale, through the door. Raises Unexpected when it is refused."""
    opens = datetime.now(UTC) + timedelta(seconds=plan.opening)
    given = plan.tickets
    wanted = {"variantId": given["variant"], "salePrice": given["price"], "quantity": plan.units}
    times = {"from": opens.isoformat(), "to": (opens + LASTS).isoformat()}
    answer = await app.ask(CREATE, given["seller"], name="Rush", items=[wanted], **times)
    made = answer["flashSaleCreate"]["flashSale"]
    if made is None:
        raise Unexpected(str(answer))
    return Sale(made["id"], made["items"][0]["id"], given["variant"], given["total"])


def _arrival(plan: Plan) -> float:
    """Most come before the opening, the others in the time after it."""
    if random.random() < plan.late:
        return plan.opening + random.uniform(0, plan.opening)
    return random.uniform(0, plan.opening * 0.9)


async def _watch(
    state: State,
    products: Database,
    item_id: str,
    plan: Plan,
    coming: Sequence[asyncio.Task[None]],
    show: Callable[[State], None],
) -> None:
    """Look at the ledger until all is paid, and make the trouble that is due."""
    state.began = time.perf_counter()
    due = sorted(plan.troubles, key=lambda each: each.at)
    while state.paid < plan.units:
        for task in coming:
            if task.done() and task.exception() is not None:
                task.result()
        state.claimed, state.paid = await _sold(products, item_id)
        state.seconds = time.perf_counter() - state.began
        show(state)
        if due and state.claimed >= due[0].at * plan.units:
            trouble = due.pop(0)
            state.happened.append(f"{trouble.name}, {state.claimed} of {plan.units} claimed, {state.paid} paid")
            await trouble.make()
        await asyncio.sleep(LOOK_SECONDS)
    if due:
        raise Unexpected(f"all was sold before {due[0].name}")


async def _sold(products: Database, item_id: str) -> tuple[int, int]:
    async with products.read() as connection:
        left = select(items.c.total_quantity - items.c.remaining).where(items.c.id == item_id)
        paid = select(func.sum(claims.c.quantity)).where(
            claims.c.item_id == item_id, claims.c.state.in_(KEEPING), claims.c.paid_at.is_not(None)
        )
        claimed = (await connection.execute(left)).scalar_one()
        return claimed, int((await connection.execute(paid)).scalar() or 0)


def _bare(global_id: str) -> str:
    parsed = parse_id(global_id)
    assert parsed is not None
    return parsed[1]
