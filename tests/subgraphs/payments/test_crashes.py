"""Killed at any step and started again: the buyer is charged once, and everybody is told how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from db.migrate import upgrade
from db.session import Database
from messaging.envelope import Event, encode_batch
from messaging.events import EventData
from messaging.events.orders import PaymentCancelRequested
from messaging.events.payments import PaymentCanceled, PaymentCaptured
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, utc_now
from subgraphs.payments import app
from subgraphs.payments.audit import audit, audit_provider
from subgraphs.payments.models import outbox
from subgraphs.payments.provider import Provider
from subgraphs.payments.settings import Settings
from subgraphs.payments.transport import HttpSender, NoAnswer
from tests.subgraphs.payments.conftest import GOOD_CARD, request
from tests.support.process import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60
SECRETS = {"DURE_PAYMENTS_PROVIDER_WEBHOOK_SECRET": "whsec_dure"}


@dataclass
class Shop:
    """A database and a provider that outlive the process of payments."""

    database_url: str
    provider_url: str
    folder: Path
    provider_name: str

    def run(self, events: list[EventData], failpoint: str = "") -> int:
        """Run payments until the order is settled or the failpoint kills it; how the process ended."""
        file = self.folder / "events"
        if not file.exists():
            file.write_bytes(b"\n".join(_batch(each) for each in events))
        arguments = [self.database_url, self.provider_url, str(self.folder), str(file)]
        return subprocess.run(
            [sys.executable, "-m", "tests.subgraphs.payments.process", *arguments],
            cwd=ROOT,
            env=os.environ | SECRETS | {"DURE_FAILPOINT": failpoint, "DURE_PAYMENTS_PROVIDER": self.provider_name},
            timeout=PATIENCE_SECONDS,
            check=False,
        ).returncode

    @property
    def settings(self) -> Settings:
        secret = SecretStr(SECRETS["DURE_PAYMENTS_PROVIDER_WEBHOOK_SECRET"])
        return Settings.model_validate({"provider": self.provider_name, "provider_webhook_secret": secret})

    @property
    def provider(self) -> tuple[Provider, HttpSender]:
        send = HttpSender(self.provider_url, connect_seconds=1, timeout_seconds=5)
        return app.provider_of(self.settings, send, utc_now), send

    async def card(self, user: str) -> str:
        common = CommonSettings(data_dir=self.folder, claims_secret=SecretStr("c"), cursor_secret=SecretStr("c"))
        _, send = self.provider
        async with Database(self.database_url) as database:
            runtime = Runtime(common, database, MemoryBroker(), InProcessChanges())
            _, service = app.assemble(runtime, self.settings, send=send)
            customer = (await service.methods.start_setup(user, "https://shop.example/")).customer_key
            body = orjson.dumps({"customerKey": customer, "cardNumber": GOOD_CARD})
            auth = orjson.loads((await send("POST", "/simulator/billing-auth", {}, body)).body)["authKey"]
            card = await service.methods.register(user, auth, True, "k")
        await send.close()
        return card

    async def told(self, kind: type[EventData]) -> list[Any]:
        async with Database(self.database_url) as database, database.read() as connection:
            rows = (await connection.execute(select(outbox.c.data).where(outbox.c.type == kind.type))).scalars().all()
        return [msgspec.json.decode(row, type=kind) for row in rows]

    async def violations(self) -> list[Any]:
        provider, send = self.provider
        async with Database(self.database_url) as database, database.read() as connection:
            found = await audit(connection) + await audit_provider(provider, connection)
        await send.close()
        return found

    async def charges(self) -> int:
        provider, send = self.provider
        journal = await provider.transactions(utc_now().replace(year=2020), utc_now().replace(year=2099))
        await send.close()
        return sum(each.net > 0 for each in journal)


def _batch(data: EventData) -> bytes:
    event = Event(
        id=new_ulid(), type=data.type, source="/dure/orders", subject=data.subject_id, time=utc_now(), data=data
    )
    return encode_batch([event])


@pytest.fixture
def provider_url(tmp_path: Path) -> Iterator[str]:
    """The simulator as a process."""
    port = free_port()
    command = [sys.executable, "-m", "subgraphs.payments.simulator", "--port", str(port)]
    with subprocess.Popen([*command, "--state", str(tmp_path / "provider.sqlite")], cwd=ROOT) as simulator:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            simulator.terminate()


@pytest.fixture
async def shop(sqlite_database_url: str, provider_url: str, tmp_path: Path, provider_name: str) -> Shop:
    await upgrade(sqlite_database_url, app.MIGRATIONS)
    made = Shop(sqlite_database_url, provider_url, tmp_path, provider_name)
    _, send = made.provider
    await eventually(lambda: _answers(send))
    await send.close()
    return made


async def _answers(send: HttpSender) -> bool:
    try:
        return (await send("GET", "/v1/payments/none", {}, b"")).status == 401
    except NoAnswer:
        return False


@pytest.mark.parametrize(
    ("provider_name", "failpoint"),
    [
        ("toss", "payments.request.after_commit"),
        ("toss", "payments.charge.after_attempt"),
        ("toss", "payments.charge.after_provider"),
        ("toss", "payments.charge.before_commit"),
        ("toss", "payments.charge.after_commit"),
        ("toss", "relay.after_publish"),
        ("stripe", "payments.charge.after_attempt"),
        ("stripe", "payments.stripe.after_opened"),
        ("stripe", "payments.charge.after_provider"),
    ],
)
async def test_a_charge_is_made_once_wherever_the_process_dies(shop: Shop, buyer: str, failpoint: str) -> None:
    wanted = request(buyer, await shop.card(buyer))
    assert shop.run([wanted], failpoint) == -signal.SIGKILL
    assert shop.run([wanted]) == 0
    assert [each.payable_id for each in await shop.told(PaymentCaptured)] == [wanted.order_id]
    assert await shop.charges() == 1
    assert await shop.violations() == []


@pytest.mark.parametrize(
    ("provider_name", "failpoint"),
    [
        ("toss", "payments.cancel.after_provider"),
        ("toss", "consumer.after_commit:2"),
        ("stripe", "payments.cancel.after_provider"),
    ],
)
async def test_a_refund_is_made_once_wherever_the_process_dies(shop: Shop, buyer: str, failpoint: str) -> None:
    wanted = request(buyer, await shop.card(buyer))
    events: list[EventData] = [wanted, PaymentCancelRequested(order_id=wanted.order_id, reason="no")]
    assert shop.run(events, failpoint) == -signal.SIGKILL
    assert shop.run(events) == 0
    assert {each.refunded for each in await shop.told(PaymentCanceled)} == {12_000}
    assert await shop.charges() == 1
    assert await shop.violations() == []
