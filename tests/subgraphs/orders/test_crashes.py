"""Killed at any named place, an order is there or not, and goes on from where it was; nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from messaging.events.products import StockReleased
from subgraphs.orders import models
from tests.subgraphs.orders.conftest import BUYER, Shop, latest, place, wanted
from tests.subgraphs.orders.test_returns import deliver


async def child(shop: Shop, what: str, order_id: str = "-", failpoint: str = "") -> int | None:
    """The exit status of a process that does ``what`` on the shop's database."""
    url = shop.runtime.database._writer.url.render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.subgraphs.orders.crash_child", url, what, BUYER, order_id, json.dumps(wanted())),
        env={**os.environ, "DURE_FAILPOINT": failpoint},
    )
    return await asyncio.wait_for(process.wait(), 60)


@pytest.mark.parametrize(("failpoint", "there"), [("orders.place.before_commit", 0), ("orders.place.after_commit", 1)])
async def test_an_order_is_placed_once_though_its_placing_was_killed(shop: Shop, failpoint: str, there: int) -> None:
    assert await child(shop, "place", failpoint=failpoint) == -signal.SIGKILL
    assert await shop.count(models.orders) == there
    assert await child(shop, "place") == 0
    assert await shop.count(models.orders) == 1
    assert await shop.told_of((await latest(shop)).id) == ["OrderPlaced"]
    assert await shop.audit() == []


@pytest.mark.parametrize("place_in_code", ["orders.saga.before_commit", "orders.saga.after_commit"])
@pytest.mark.parametrize("visit", [1, 2, 3, 4])
async def test_an_answer_is_applied_once_though_its_handling_was_killed(
    shop: Shop, place_in_code: str, visit: int
) -> None:
    order_id = await place(shop)
    assert await child(shop, "answer", order_id, f"{place_in_code}:{visit}") == -signal.SIGKILL
    assert await shop.audit() == []
    assert await child(shop, "answer", order_id) == 0, "the broker delivers everything again"
    assert (await shop.order(order_id)).status == "PAID"
    assert await shop.told_of(order_id) == [
        "OrderPlaced",
        "PaymentRequested",
        "DeliveryRequested",
        "StockCommitRequested",
        "OrderPaid",
    ]
    assert await shop.audit() == []


async def test_a_cancellation_goes_on_though_its_request_was_killed(shop: Shop) -> None:
    order_id = await place(shop)
    assert await child(shop, "cancel", order_id, "orders.cancel.after_commit") == -signal.SIGKILL
    await shop.tell(StockReleased(order_id=order_id, reason="requested"))
    assert (await shop.order(order_id)).status == "CANCELED"
    assert await shop.audit() == []


@pytest.mark.parametrize(
    ("what", "failpoint", "there"),
    [
        ("return", "orders.return.before_commit", 0),
        ("receive", "orders.return.after_commit", 1),
    ],
)
async def test_a_return_is_made_once_though_its_process_was_killed(
    shop: Shop, what: str, failpoint: str, there: int
) -> None:
    """The same key is the same return; receiving it again asks for no second refund."""
    order = await deliver(shop)
    assert await child(shop, what, order.order_id, failpoint) == -signal.SIGKILL
    assert await shop.count(models.returns) == there
    for _ in range(2):
        assert await child(shop, "receive", order.order_id) == 0
    assert await shop.count(models.returns) == 1
    assert [each.status for each in await order.changes()] == ["REQUESTED", "APPROVED", "RECEIVED"]
    assert len(await order.refunds()) == 1
    assert await shop.audit() == []
