"""Killed at any step and started again: a settlement is closed once and its money goes out once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from messaging.events.payments import PayoutCompleted, SettlementClosed
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.subgraph import utc_now
from subgraphs.payments.settling.rules import seoul_day
from subgraphs.payments.transport import HttpSender, NoAnswer
from tests.subgraphs.payments.conftest import World
from tests.subgraphs.payments.settling.conftest import Market
from tests.subgraphs.payments.test_crashes import PATIENCE_SECONDS, ROOT, provider_url
from tests.support.waiting import eventually

__all__ = ["provider_url"]
FAILPOINTS = [
    "payments.books.before_commit",
    "payments.settlement.after_open",
    "payments.settlement.after_part",
    "payments.settlement.before_commit",
    "payments.payout.after_request",
    "payments.payout.after_provider",
    "payments.payout.after_provider:2",
    "payments.payout.after_commit",
]


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    return sqlite_database_url


async def test_a_settlement_is_paid_once_wherever_the_process_dies(
    world: World, provider_url: str, database_url: str, buyer: str
) -> None:
    """One seller for each place; then all of them again, by a process that lives."""
    market = Market(world, buyer, new_ulid())
    sellers = [await market.seller() for _ in FAILPOINTS]
    for seller in sellers:
        await market.sale((seller, 4_000), (seller, 6_000))
    end = (seoul_day(utc_now()) + timedelta(days=1)).isoformat()
    await eventually(lambda: _answers(provider_url))
    about = [database_url, provider_url, end]
    for failpoint, seller in zip(FAILPOINTS, sellers, strict=True):
        assert _run([*about, seller.id], failpoint) == -signal.SIGKILL, failpoint
    assert _run([*about, *(seller.id for seller in sellers)]) == 0
    assert len(await market.world.told(SettlementClosed)) == len(FAILPOINTS)
    assert len(await market.world.told(PayoutCompleted)) == len(FAILPOINTS)
    assert [each["amount"]["value"] for each in world.simulator.store.payouts()] == [8_900] * len(FAILPOINTS)
    assert await market.audit() == []


def _run(arguments: list[str], failpoint: str = "") -> int:
    return subprocess.run(
        [sys.executable, "-m", "tests.subgraphs.payments.settling.process", *arguments],
        cwd=ROOT,
        env=os.environ | {"DURE_FAILPOINT": failpoint},
        timeout=PATIENCE_SECONDS,
        check=False,
    ).returncode


async def _answers(url: str) -> bool:
    send = HttpSender(url, connect_seconds=1, timeout_seconds=5)
    try:
        return (await send("GET", "/v2/payouts", {}, b"")).status == 401
    except NoAnswer:
        return False
    finally:
        await send.close()
