"""The whole shop, split, while one thing after another is stopped, slow or killed: what users can still do, what never
happens, and that all of it comes back. The rows are those of the fault table in docs/resilience.md.

One test, so that one shop of fifteen processes is started for all of it; each row is a subtest.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dure.demo.client import operation
from tests.dure.shop import choose, visiting, wish
from tests.dure.split_shop import SUBGRAPHS, TIMEOUT, SplitShop, part_pid, restart, split_shop
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

BROWSE = (
    "query($word: String!) { productSearch(query: $word, first: 1) { totalCount } nutrients(search: $word) { id } }"
)
PRICE = "query($id: ID!) { productVariant(id: $id) { price { amount } } }"
STATUS = "query($id: ID!) { order(id: $id) { status } }"
SHIPMENTS = "query($id: ID!) { order(id: $id) { shipments { status } } }"
HISTORY = "{ me { orders(first: 3) { edges { node { number status paymentStatus shipments { status } } } } } }"
CARDS = "{ me { paymentMethods { maskedNumber } } }"
CART = """
mutation($id: ID!) {
  cartLinesAdd(lines: [{ variantId: $id, quantity: 1 }]) { cart { id } userErrors { code } }
}"""
GONE = {"SUBGRAPH_TIMEOUT", "SUBGRAPH_UNREACHABLE", "SUBGRAPH_UNAVAILABLE"}
AT_ONCE = 0.5
"""Seconds in which a breaker that is open answers; one fetch takes 1.5."""

Variant = dict[str, Any]
Later = Callable[[], Awaitable[None]]
"""What must become of it when all is well again."""


def word() -> str:
    """Nobody has asked for this before: no cache has the answer."""
    return secrets.token_hex(8)


async def place(shop: SplitShop, variant: Variant, key: str | None = None) -> dict[str, Any]:
    """The answer to an order of one unit."""
    given = {"input": wish(shop.buyer, variant), "key": key or word()}
    return await shop.send(operation("place_order"), **given)


async def placed(shop: SplitShop, variant: Variant, key: str | None = None) -> str:
    """The id of an order of one unit that was taken."""
    answer = await place(shop, variant, key)
    assert not answer.get("errors"), answer
    assert answer["data"]["orderCreate"]["userErrors"] == []
    return str(answer["data"]["orderCreate"]["order"]["id"])


async def status(shop: SplitShop, order: str) -> str:
    return str((await shop.data(STATUS, id=order))["order"]["status"])


async def paid(shop: SplitShop, order: str) -> None:
    async def is_paid() -> bool:
        return await status(shop, order) in ("PAID", "PREPARING")

    await eventually(is_paid, timeout=60)


async def log_in(shop: SplitShop) -> None:
    """Somebody else does."""
    person = {"email": "operator@dure.example", "password": "a demo password"}
    answer = await shop.data(operation("log_in"), token="", **person)
    assert answer["tokenCreate"]["tokens"]["accessToken"]


async def users_down(shop: SplitShop, variant: Variant) -> Later | None:
    """Browse; who is logged in orders and pays. Nobody is taken for a user."""
    await shop.data(BROWSE, token="", word=word())
    anonymous = await shop.send("{ me { id } }", token="")
    assert anonymous["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    await paid(shop, await placed(shop, variant))
    return None


async def products_down(shop: SplitShop, variant: Variant) -> Later:
    """Order history, payments, delivery status, log-in, projects. No order without stock, no price of 0."""
    order = await placed(shop, variant)
    await shop.data(HISTORY)
    await shop.data(CARDS)
    await shop.data("query($word: String!) { projectSearch(query: $word) { totalCount } }", token="", word=word())
    await log_in(shop)
    found = (await shop.send(PRICE, id=variant["id"]))["data"]["productVariant"]
    assert found is None or found["price"] == {"amount": variant["price"]["amount"]}
    assert await status(shop, order) == "PENDING"
    return lambda: paid(shop, order)


async def funding_down(shop: SplitShop, variant: Variant) -> Later | None:
    """The whole shop."""
    await shop.data(BROWSE, token="", word=word())
    await paid(shop, await placed(shop, variant))
    return None


async def orders_down(shop: SplitShop, variant: Variant) -> Later:
    """Browse, log in, see payments. What was tried can be tried again and is one order."""
    await shop.data(BROWSE, token="", word=word())
    await log_in(shop)
    await shop.data(CARDS)
    key = word()
    refused = await place(shop, variant, key)
    assert refused["errors"][0]["extensions"]["code"] in GONE, refused

    async def try_again() -> None:
        first, second = await placed(shop, variant, key), await placed(shop, variant, key)
        assert first == second
        await paid(shop, first)

    return try_again


async def payments_down(shop: SplitShop, variant: Variant) -> Later:
    """Browse, fill a cart, order; the payment is made later."""
    await shop.data(BROWSE, token="", word=word())
    filled = (await shop.data(CART, id=variant["id"]))["cartLinesAdd"]
    assert (filled["userErrors"], filled["cart"] is not None) == ([], True)
    order = await placed(shop, variant)
    assert await status(shop, order) in ("PENDING", "AWAITING_PAYMENT")
    return lambda: paid(shop, order)


async def delivery_down(shop: SplitShop, variant: Variant) -> Later:
    """Buy; the parcel follows."""
    order = await placed(shop, variant)

    async def sent() -> bool:
        return len((await shop.data(SHIPMENTS, id=order))["order"]["shipments"]) == 1

    async def follows() -> None:
        await paid(shop, order)
        await eventually(sent, timeout=60)

    return follows


DOWN = {
    "users": users_down,
    "products": products_down,
    "funding": funding_down,
    "orders": orders_down,
    "payments": payments_down,
    "delivery": delivery_down,
}


async def own_fields_only(shop: SplitShop, name: str) -> None:
    """A subgraph that does not answer costs its fields, by its deadline; then its breaker says so at once."""
    started = time.monotonic()
    probes = await asyncio.gather(*(shop.probe() for _ in range(4)))
    assert time.monotonic() - started < TIMEOUT * 4
    for data, codes in probes:
        assert data[name] is None
        assert codes[name] in GONE

    async def left_alone() -> bool:
        started = time.monotonic()
        data, codes = await shop.probe()
        assert data[name] is None
        took = time.monotonic() - started
        return codes == {name: "SUBGRAPH_UNAVAILABLE"} and took < AT_ONCE

    await eventually(left_alone)


async def closed(shop: SplitShop, name: str) -> bool:
    """Whether a subgraph answers, and has answered often enough."""
    there = await shop.whole()
    return there and bool(await shop.metric(f'router_subgraph_breaker_state{{state="closed",subgraph="{name}"}}'))


async def stopped(shop: SplitShop, name: str, variant: Variant) -> None:
    """API and workers of a subgraph stand still (SIGSTOP), and go on."""
    with shop.stopped(name):
        await own_fields_only(shop, name)
        later = await DOWN[name](shop, variant)
    await eventually(lambda: closed(shop, name))
    if later is not None:
        await later()


async def slow(shop: SplitShop) -> None:
    """A subgraph that is slow, but not too slow, costs nothing but the time."""
    for name in SUBGRAPHS:
        pid = part_pid(shop.process.pid, "api", name)
        os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(TIMEOUT / 4, os.kill, pid, signal.SIGCONT)
        started = time.monotonic()
        _, codes = await shop.probe()
        assert name not in codes
        assert time.monotonic() - started > TIMEOUT / 5


async def killed(shop: SplitShop) -> None:
    """One API after another dies; those that have not yet are not touched. All are started again."""
    living = list(SUBGRAPHS)
    while living:
        name = living.pop()
        os.kill(part_pid(shop.process.pid, "api", name), signal.SIGKILL)
        data, codes = await shop.probe()
        assert data[name] is None
        assert codes[name] in GONE
        assert not set(codes) & set(living), codes
    await eventually(shop.whole, timeout=120)


async def without_broker(shop: SplitShop, variant: Variant) -> None:
    """Orders are taken and nothing waits for the broker; what happened is told when it is back."""
    await asyncio.to_thread(shop.rabbitmq.process.kill)
    try:
        await shop.data(BROWSE, token="", word=word())
        orders = [await placed(shop, variant) for _ in range(3)]
        assert {await status(shop, order) for order in orders} == {"PENDING"}
        assert await shop.readiness("orders") == 200
    finally:
        await restart(shop.rabbitmq)
    for order in orders:
        await paid(shop, order)


async def without_redis(shop: SplitShop, variant: Variant) -> None:
    """Everything goes on; rate limits are each router's own, which a metric tells."""
    failures = 'router_shared_store_failures_total{use="rate_limits"}'
    before = await shop.metric(failures)
    await asyncio.to_thread(shop.redis.process.kill)
    try:
        await shop.data(BROWSE, token="", word=word())
        await eventually(shop.whole)
        await paid(shop, await placed(shop, variant))
        assert await shop.metric(failures) > before
        assert await shop.readiness("orders") == 200
    finally:
        await restart(shop.redis)
    await eventually(shop.whole)


async def without_database(shop: SplitShop, variant: Variant) -> None:
    """Writes are refused with a code and a time; APIs are unready; no order that was acknowledged is lost."""
    order = await placed(shop, variant)
    await asyncio.to_thread(shop.postgres.process.kill)
    key = word()
    try:
        refused = await place(shop, variant, key)
        (error,) = refused["errors"]
        assert error["extensions"]["code"] == "SERVICE_UNAVAILABLE", refused
        assert error["extensions"]["retryAfterMs"] > 0
        _, codes = await shop.probe()
        assert set(codes) == set(SUBGRAPHS)
        assert set(codes.values()) <= {"SERVICE_UNAVAILABLE", *GONE}
        assert {await shop.readiness(name) for name in SUBGRAPHS} == {503}
        assert await shop.live()
    finally:
        await restart(shop.postgres)
    await eventually(shop.whole, timeout=60)
    await paid(shop, order)
    await paid(shop, await placed(shop, variant, key))


async def warmed(shop: SplitShop, variant: Variant) -> None:
    """Every part has taken part in an order: the first one may take longer than a fetch may."""
    key = word()

    async def is_taken() -> bool:
        return not (await place(shop, variant, key)).get("errors")

    await eventually(is_taken, timeout=60)
    await paid(shop, await placed(shop, variant, key))


@pytest.mark.timeout(600)  # fifteen processes start, and six of them twice
async def test_what_users_can_do_while_something_is_down(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with split_shop(tmp_path) as shop:
        async with visiting(shop.process.url) as visitor:
            variant = await choose(visitor, at_least=30)
        await eventually(shop.whole)
        await warmed(shop, variant)
        for name in SUBGRAPHS:
            with subtests.test(msg=f"{name} stopped"):
                await stopped(shop, name, variant)
        rows = {"every subgraph slow": slow(shop), "every subgraph killed": killed(shop)}
        rows["RabbitMQ down"] = without_broker(shop, variant)
        rows["Redis down"] = without_redis(shop, variant)
        rows["the primary database down"] = without_database(shop, variant)
        for row, happens in rows.items():
            with subtests.test(msg=row):
                await happens
        with subtests.test(msg="afterwards everything is consistent"):
            audit = await asyncio.to_thread(shop.process.dure, "audit")
            assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr
        with subtests.test(msg="all parts end"):
            assert await shop.process.stop() == 0, shop.process.log[-3000:]
