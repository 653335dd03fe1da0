"""A shop that changes its payment provider: what one has begun, only that one ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from messaging.events.payments import PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import new_ulid
from subgraphs.payments.models import customers, methods, payments, refunds
from tests.subgraphs.payments.conftest import WEBHOOK_SECRET, World, opened, request
from tests.subgraphs.payments.test_buyer_pays import confirm
from tests.subgraphs.payments.test_refunds import paid, refund


@asynccontextmanager
async def both(database_url: str, folder: Path) -> AsyncIterator[tuple[World, World]]:
    """The shop before and after, over one database and one simulator's books."""
    secret = SecretStr(WEBHOOK_SECRET)
    async with (
        opened(database_url, folder) as toss,
        opened(database_url, folder, provider="stripe", provider_webhook_secret=secret) as stripe,
    ):
        yield toss, stripe


@pytest.fixture
async def worlds(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    async with both(database_url, tmp_path) as made:
        yield made


async def test_an_open_outcome_waits_for_the_provider_that_knows_it(worlds: tuple[World, World], buyer: str) -> None:
    toss, stripe = worlds
    wanted = request(buyer, await toss.card(buyer))
    await toss.fault("timeout_after", "/v1/billing/")
    await toss.fault("error", "GET /v1/payments/", code="PROVIDER_ERROR")
    await toss.tell(wanted)
    await toss.work()
    await stripe.work(later=120)
    assert (await stripe.shown(wanted.order_id, buyer))["status"] == "UNKNOWN"
    assert await stripe.told(PaymentFailed) == []
    await toss.work(later=120)
    assert len(await toss.told(PaymentCaptured)) == 1
    assert len(toss.charges_at_provider()) == 1
    assert await toss.audit() == []
    assert await stripe.audit() == []


async def test_without_knowing_whose_it_is_a_charged_buyer_would_be_told_that_it_failed(
    worlds: tuple[World, World], buyer: str
) -> None:
    """Negative control: the same, with the payment's provider forgotten."""
    toss, stripe = worlds
    wanted = request(buyer, await toss.card(buyer))
    await toss.fault("timeout_after", "/v1/billing/")
    await toss.fault("error", "GET /v1/payments/", code="PROVIDER_ERROR")
    await toss.tell(wanted)
    await toss.work()
    async with stripe.database.transaction() as tx:
        await tx.execute(update(payments).values(provider="stripe"))
    for _ in range(4):
        await stripe.work(later=120)
    assert len(await stripe.told(PaymentFailed)) == 1
    assert len(stripe.charges_at_provider()) == 1


async def test_a_refund_goes_back_through_the_provider_that_took_the_money(
    worlds: tuple[World, World], buyer: str
) -> None:
    toss, stripe = worlds
    payment = await paid(toss, buyer)
    pending = await refund(stripe, payment, amount="5000")
    assert (pending["refund"]["status"], pending["userErrors"]) == ("PENDING", [])
    await stripe.work(later=60)
    assert [row["status"] for row in await stripe.rows(refunds)] == ["PENDING"]
    await toss.work(later=60)
    assert [row["status"] for row in await toss.rows(refunds)] == ["COMPLETED"]
    assert await toss.audit() == []


async def test_workers_that_only_finish_take_nothing_new(sqlite_database_url: str, tmp_path: Path) -> None:
    """Otherwise they would open payments of new orders at the provider that the shop has left."""

    async def names(**chosen: bool) -> set[str]:
        async with opened(sqlite_database_url, tmp_path, **chosen) as world:
            return {worker.name for worker in world.subgraph.workers}

    left = await names() - await names(finishing=True)
    assert {"payments.consumer", "payments.relay"} <= left
    assert not left & {"payments.charger", "payments.refunder", "payments.reconciler"}


async def test_cards_are_registered_anew_and_the_old_ones_are_kept_for_a_way_back(
    worlds: tuple[World, World], buyer: str
) -> None:
    toss, stripe = worlds
    old = await toss.card(buyer)
    async with toss.database.transaction() as tx:
        await tx.execute(update(methods).values(customer_key=None))  # as before cards had a name of their own
    refused = request(buyer, old)
    await stripe.tell(refused)
    (failed,) = await stripe.told(PaymentFailed)
    assert (failed.payable_id, failed.code) == (refused.order_id, "NOT_ALLOWED")
    assert "register" in failed.message
    new = await stripe.card(buyer)
    assert [row["provider"] for row in await stripe.rows(customers)] == ["stripe"]
    await stripe.tell(wanted := request(buyer, new))
    await stripe.work()
    assert (await stripe.shown(wanted.order_id, buyer))["status"] == "DONE"
    await toss.tell(again := request(buyer, old))
    await toss.work()
    assert (await toss.shown(again.order_id, buyer))["status"] == "DONE"
    assert await toss.card(buyer)
    assert await toss.audit() == []
    assert await stripe.audit() == []


async def test_an_order_that_nobody_has_paid_yet_is_paid_at_the_new_provider(
    worlds: tuple[World, World], buyer: str
) -> None:
    toss, stripe = worlds
    wanted = request(buyer, None)
    await toss.tell(wanted)
    card = (await stripe.at_provider("stripe/card"))["paymentKey"]
    assert (await confirm(stripe, buyer, wanted, card, key=new_ulid()))["payment"]["status"] == "DONE"
    assert await stripe.audit() == []
    assert await toss.audit() == []
