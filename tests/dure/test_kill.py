"""Whatever step of an order the process is killed at, starting it again ends in a consistent state."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import signal

import aiohttp
import pytest

from dure.demo.client import Shop, Unexpected
from dure.docs.failpoints import places
from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish

pytestmark = pytest.mark.e2e

BUYING = [
    "orders.place.before_commit",
    "orders.place.after_commit",
    *(f"orders.saga.before_commit:{n}" for n in range(1, 4)),
    *(f"orders.saga.after_commit:{n}" for n in (1, 3)),
    "products.reserve.before_commit",
    "products.reserve.after_commit",
    "products.commit.before_commit",
    "products.commit.after_commit",
    "payments.request.after_commit",
    "payments.charge.after_attempt",
    "payments.charge.after_provider",
    "payments.charge.before_commit",
    "payments.charge.after_commit",
    "delivery.request.before_commit",
    "delivery.request.after_commit",
    *(f"relay.after_claim:{n}" for n in (1, 5)),
    *(f"relay.after_publish:{n}" for n in (1, 5)),
    *(f"consumer.before_commit:{n}" for n in (1, 6)),
    *(f"consumer.after_commit:{n}" for n in (1, 6)),
]
CANCELING = [
    "orders.cancel.after_commit",
    "payments.cancel.after_provider",
    "products.release.before_commit",
    "products.release.after_commit",
    "delivery.cancel.after_commit",
]
PAID_OUT = ("payments.books.", "payments.settlement.", "payments.payout.")
"""Killed at in tests/subgraphs/payments/settling/test_crashes.py."""
AT_STRIPE = ("payments.stripe.",)
"""Killed at in tests/subgraphs/payments/test_crashes.py."""
CANCEL = 'mutation($id: ID!) { orderCancel(id: $id, reason: "변심") { order { status } userErrors { code } } }'


async def die(process: ShopProcess) -> None:
    """Wait until the failpoint has killed it."""
    assert await process.ended(60) == -signal.SIGKILL, process.log[-2000:]


async def place(shop: Shop, order: dict[str, object], key: str) -> str | None:
    """Try to place an order; its id, or None if the shop died before it answered."""
    with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
        answer = await shop.ask("place_order", input=order, key=key)
        return str(answer.data["orderCreate"]["order"]["id"])
    return None


@pytest.mark.parametrize("failpoint", BUYING)
async def test_an_order_survives_a_kill(copied: tuple[ShopProcess, Buyer], failpoint: str) -> None:
    process, buyer = copied
    await process.start(DURE_FAILPOINT=failpoint)
    key = secrets.token_hex(8)
    async with visiting(process.url, buyer) as shop:
        variant = await choose(shop)
        order = wish(buyer, variant)
        acknowledged = await place(shop, order, key)
        await die(process)
    await process.start()
    async with visiting(process.url, buyer) as shop:
        order_id = await place(shop, order, key)
        assert order_id is not None
        assert acknowledged in (None, order_id), "the same key is the same order, also after a crash"
        ended = await settled(shop, order_id)
        assert ended["status"] == "PAID", ended["steps"]
        mine = (await shop.ask("my_page")).data["me"]["orders"]["edges"]
        assert len(mine) == 1, "once, not twice"
        again = await shop.ask("product_page", slug=await slug_of(shop), postalCode="06236")
        left = {each["id"]: each["availableQuantity"] for each in again.data["product"]["variants"]}
        assert left[variant["id"]] == variant["availableQuantity"] - 1
    audit = await asyncio.to_thread(process.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr


async def slug_of(shop: Shop) -> str:
    """The product that the buyer's only order is of."""
    (edge,) = (await shop.ask("my_page")).data["me"]["orders"]["edges"]
    return str(edge["node"]["lines"][0]["variant"]["product"]["slug"])


@pytest.mark.parametrize("failpoint", CANCELING)
async def test_a_cancellation_survives_a_kill(copied: tuple[ShopProcess, Buyer], failpoint: str) -> None:
    process, buyer = copied
    await process.start(DURE_FAILPOINT=failpoint)
    async with visiting(process.url, buyer) as shop:
        variant = await choose(shop)
        order_id = await place(shop, wish(buyer, variant), "key")
        assert order_id is not None
        assert (await settled(shop, order_id))["status"] == "PAID"
        with contextlib.suppress(aiohttp.ClientError, Unexpected):
            await shop.ask_text(CANCEL, id=order_id)
        await die(process)
    await process.start()
    async with visiting(process.url, buyer) as shop:
        with contextlib.suppress(Unexpected):  # it may be cancelled already
            await shop.ask_text(CANCEL, id=order_id)
        ended = await canceled(shop, order_id)
        (payment,) = ended["payments"]
        assert (payment["status"], {each["status"] for each in ended["shipments"]}) == ("CANCELED", {"CANCELED"})
    audit = await asyncio.to_thread(process.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr


async def canceled(shop: Shop, order_id: str) -> dict[str, object]:
    """The order, once everything is given back."""
    for _ in range(1200):
        order: dict[str, object] = (await shop.ask("read_order", id=order_id)).data["order"]
        if order["status"] == "CANCELED":
            return order
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {order['status']}: {order['steps']}")


def test_every_failpoint_of_an_order_is_killed_at() -> None:
    """A failpoint that nobody visits would prove nothing: what the code of an order names is in the lists."""
    listed = {each.partition(":")[0] for each in (*BUYING, *CANCELING)}
    named = [
        name
        for name in places()
        if not name.startswith(
            ("users.", "funding.", "products.claim.", "media.", "orders.return.", "keys.", *PAID_OUT, *AT_STRIPE)
        )
    ]
    patterns = {name: re.compile(re.escape(name).replace("<step>", r"\w+")) for name in named}
    missed = [name for name, pattern in patterns.items() if not any(map(pattern.fullmatch, listed))]
    assert missed == [], "kill the process there, too"
    assert all(any(pattern.fullmatch(each) for pattern in patterns.values()) for each in listed)
