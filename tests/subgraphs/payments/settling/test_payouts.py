"""Payouts: each settlement's money goes out once, whatever the provider says or does not say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from messaging.events.payments import PayoutCompleted, PayoutFailed
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime
from subgraphs.kit.workers import running
from subgraphs.payments import app
from subgraphs.payments.models import payouts
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.payouts import _order
from subgraphs.payments.transport import AsgiSender, NoAnswer
from tests.subgraphs.payments.settling.conftest import Market, Seller
from tests.support.process import free_port


async def closed(market: Market, seller: Seller, total: int = 10_000) -> str:
    """The id of a settlement to pay out."""
    await market.sale((seller, total))
    return str((await market.close(seller, market.tomorrow()))["settlement"]["id"])


def paid(market: Market) -> list[int]:
    """What the provider was told to pay."""
    return [each["amount"]["value"] for each in market.world.simulator.store.payouts()]


async def test_requests_at_once_make_one_payout(market: Market) -> None:
    """And workers at once carry it out once, on every database."""
    settlement = await closed(market, await market.seller())
    answers = await asyncio.gather(*(market.pay(settlement) for _ in range(4)))
    errors = [each["userErrors"] for each in answers if each["userErrors"]]
    assert errors == [[{"code": "ALREADY_PROCESSED", "field": ["settlementId"]}]] * 3
    for _ in range(2):
        market.world.clock.advance(60)
        await asyncio.gather(*(market.world.service.payouts.drain() for _ in range(3)))
    assert (paid(market), len(await market.world.told(PayoutCompleted))) == ([8_900], 1)
    assert await market.world.audit() == []


class TestOnSqlite:
    @pytest.fixture
    def database_url(self, sqlite_database_url: str) -> str:
        return sqlite_database_url

    async def test_the_same_key_is_the_same_request(self, market: Market) -> None:
        settlement = await closed(market, await market.seller())
        first, again = await market.pay(settlement, "k"), await market.pay(settlement, "k")
        assert first == again
        assert first["settlement"]["payout"]["status"] == "REQUESTED"
        other = await closed(market, await market.seller())
        assert (await market.pay(other, "k"))["userErrors"][0]["code"] == "IDEMPOTENCY_CONFLICT"
        assert len(await market.world.rows(payouts)) == 1

    @pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "error", "error_after"])
    async def test_an_answer_that_does_not_come_is_asked_for(self, market: Market, fault: str) -> None:
        """A call that was carried out is found, one that was not is made: once either way."""
        settlement = await closed(market, await market.seller())
        await market.pay(settlement)
        await market.world.fault(fault, "POST /v2/payouts")
        await market.world.service.payouts.drain()
        assert (await market.world.rows(payouts))[0]["status"] == "REQUESTED"
        await market.paid_out()
        await market.paid_out()
        assert paid(market) == [8_900]
        assert len(await market.world.told(PayoutCompleted)) == 1
        assert await market.world.audit() == []

    async def test_a_reference_is_paid_once_whatever_the_keys(self, market: Market) -> None:
        """A look that missed the first call, still under way, does no harm."""
        await market.pay(await closed(market, await market.seller()))
        await market.world.service.payouts.drain()
        (row,) = await market.world.rows(payouts)
        with pytest.raises(NoAnswer):
            await market.world.service.payouts._provider.pay(_order(row | {"tries": 7}))
        await market.paid_out()
        assert paid(market) == [8_900]

    async def test_a_provider_that_cannot_be_asked_is_asked_later(self, market: Market) -> None:
        await market.pay(await closed(market, await market.seller()))
        await market.world.fault("timeout_after", "POST /v2/payouts")
        await market.world.fault("error", "GET /v2/payouts", times=2)
        for _ in range(5):
            await market.paid_out(later=600)
        assert paid(market) == [8_900]
        assert len(await market.world.told(PayoutCompleted)) == 1

    @pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_REQUEST"])
    async def test_a_question_that_is_refused_says_nothing_of_the_payout(self, market: Market, code: str) -> None:
        """The money may be gone: a payout that failed would be asked for, and paid, again."""
        await market.pay(await closed(market, await market.seller()))
        await market.world.fault("timeout_after", "POST /v2/payouts")
        await market.world.fault("error", "GET /v2/payouts", code=code, times=2)
        for _ in range(3):
            await market.paid_out(later=600)
        assert await market.world.told(PayoutFailed) == []
        assert (paid(market), len(await market.world.told(PayoutCompleted))) == ([8_900], 1)
        assert await market.world.audit() == []

    async def test_somebody_else_can_pay_sellers_out(self, market: Market, tmp_path: Path) -> None:
        """Than who takes the payments, who is told nothing of it then."""
        common = CommonSettings(data_dir=tmp_path, claims_secret=SecretStr("c"), cursor_secret=SecretStr("c"))
        world = market.world
        runtime = Runtime(common, world.database, MemoryBroker(), InProcessChanges(), world.clock.now)
        nowhere = Settings(payout_url=f"http://127.0.0.1:{free_port()}", payout_secret_key=SecretStr("bank"))
        subgraph, service = app.assemble(runtime, nowhere, send=AsgiSender(world.simulator))
        await market.pay(await closed(market, await market.seller()))
        (closing,) = (each for each in subgraph.workers if each.name == "payments.connections")
        async with running([closing]):
            await service.payouts.drain()
        assert (await world.rows(payouts))[0]["status"] == "REQUESTED"
        assert paid(market) == []
        await market.paid_out()
        assert paid(market) == [8_900]

    async def test_what_the_bank_did_not_take_can_be_sent_again(self, market: Market) -> None:
        """To the account that the seller has named by then; the books never counted what failed."""
        seller = await market.seller(account="110123450000")
        settlement = await closed(market, seller)
        await market.pay(settlement)
        await market.paid_out()
        (told,) = await market.world.told(PayoutFailed)
        assert (told.amount, "INVALID_ACCOUNT_NUMBER" in told.reason) == (8_900, True)
        assert await market.balance(seller) == (0, 8_900, 0)
        assert await market.audit() == []
        await market.account(seller, "110123456789", version=2)
        again = await market.pay(settlement)
        assert again["settlement"]["status"] == "PAYOUT_REQUESTED"
        await market.paid_out()
        assert await market.balance(seller) == (0, 0, 8_900)
        statuses = sorted(row["status"] for row in await market.world.rows(payouts))
        assert statuses == ["COMPLETED", "FAILED"]
        assert await market.world.audit() == []

    async def test_what_the_provider_refuses_has_failed(self, market: Market) -> None:
        settlement = await closed(market, await market.seller())
        await market.pay(settlement)
        await market.world.fault("error", "POST /v2/payouts", code="NOT_ALLOWED_PAYOUT")
        await market.world.service.payouts.drain()
        (row,) = await market.world.rows(payouts)
        assert (row["status"], row["failure_reason"][:18]) == ("FAILED", "NOT_ALLOWED_PAYOUT")
        assert await market.audit() == []

    async def test_without_an_account_nothing_is_paid(self, market: Market) -> None:
        settlement = await closed(market, await market.seller(account=None))
        refused = await market.pay(settlement)
        assert refused["userErrors"] == [{"code": "PAYOUT_ACCOUNT_REQUIRED", "field": ["settlementId"]}]
        assert await market.world.rows(payouts) == []

    @pytest.mark.parametrize("given", ["nonsense", new_ulid()], ids=["nonsense", "unknown"])
    async def test_what_is_no_settlement_is_not_paid(self, market: Market, given: Any) -> None:
        assert (await market.pay(given))["userErrors"] == [{"code": "NOT_FOUND", "field": ["settlementId"]}]

    async def test_an_account_is_sealed_and_an_older_one_does_not_come_back(self, market: Market) -> None:
        seller = await market.seller()
        await market.account(seller, "999888777666", version=3)
        await market.account(seller, "111222333444", version=2)
        settlement = await closed(market, seller)
        await market.pay(settlement)
        (row,) = await market.world.rows(payouts)
        assert row["account_number"] == "999888777666"
        async with market.world.database.read() as connection:
            raw = await connection.exec_driver_sql("SELECT account_number, holder_name FROM payout")
            stored = str(raw.all())
        assert "999888777666" not in stored
        assert "김두레" not in stored
