"""Payments on a database of its own, with the provider's simulator in memory and a clock that can be moved."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import Table, select

from db.migrate import upgrade
from db.session import Database
from messaging.envelope import Event
from messaging.events import CATALOGUE, EventData
from messaging.events.orders import OrderLineFacts, PaymentRequested
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid, parse_id
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph, Violation, utc_now
from subgraphs.payments import app
from subgraphs.payments.audit import audit_provider
from subgraphs.payments.consumers import handlers
from subgraphs.payments.models import outbox, payments
from subgraphs.payments.provider import Provider
from subgraphs.payments.service import Service
from subgraphs.payments.settings import Settings
from subgraphs.payments.simulator.app import Simulator, create_simulator
from subgraphs.payments.transport import AsgiSender

SECRET = "payments-tests"
WEBHOOK_SECRET = "whsec_payments_tests"
GOOD_CARD = "4330123412341234"

SETUP = "mutation($url: String!) { paymentMethodSetupStart(returnUrl: $url) { customerKey userErrors { code } } }"
REGISTER = """
mutation($authKey: String!, $key: String!, $default: Boolean) {
  paymentMethodRegister(authKey: $authKey, idempotencyKey: $key, setAsDefault: $default) {
    paymentMethod { id kind issuer maskedNumber isDefault status }
    userErrors { code message field }
  }
}"""
PAYMENT = """
query($id: ID!) { payment(id: $id) {
  id status amount { amount currencyCode } capturedAmount { amount } refundedAmount { amount }
  method methodSummary receiptUrl approvedAt
  payable { __typename ... on Order { id } }
  virtualAccount { bank { code name } accountNumber holderName dueAt depositedAt }
  attempts { operation outcome providerCode } refunds { id status amount { amount } }
  failure { code message retryable }
} }"""


@dataclass
class Clock:
    """Real time, and how far a test has moved it."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return utc_now() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class World:
    """Payments, and the ways others meet it."""

    subgraph: Subgraph
    service: Service
    database: Database
    simulator: Simulator
    provider: Provider
    clock: Clock

    async def ask(
        self, query: str, user: str | None = None, *, scopes: Sequence[str] = (), **given: Any
    ) -> dict[str, Any]:
        headers = {CLAIMS_HEADER: sign_claims(SECRET, {"sub": user, "scopes": list(scopes), "exp": time.time() + 60})}
        return await self.subgraph.endpoint.execute(query, given, None, headers)

    async def do(self, query: str, user: str | None = None, **given: Any) -> dict[str, Any]:
        """The payload of a mutation that is not refused as a whole."""
        answer = await self.ask(query, user, **given)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = next(iter(answer["data"].values()))
        return payload

    async def tell(self, *events: EventData) -> None:
        """Hand events of one type to their handler, as the consumer would."""
        handler = handlers(self.service, self.clock.now)[type(events[0])]
        wrapped = [
            Event(id=new_ulid(), type=each.type, source="/test", subject=each.subject_id, time=utc_now(), data=each)
            for each in events
        ]
        await self.database.run(lambda tx: handler(tx, wrapped))

    async def told(self, kind: type[EventData], about: str | None = None) -> list[Any]:
        """What payments has told of this type, oldest first."""
        async with self.database.read() as connection:
            query = select(outbox.c.data).where(outbox.c.type == kind.type).order_by(outbox.c.position)
            rows = (await connection.execute(query)).scalars().all()
        events = [msgspec.json.decode(row, type=CATALOGUE[kind.type]) for row in rows]
        return [each for each in events if about is None or each.subject_id == about]

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        async with self.database.read() as connection:
            return [dict(row) for row in (await connection.execute(select(table))).mappings()]

    async def work(self, *, later: float = 0.0) -> None:
        """Let the workers do what is due, and what falls due ``later`` seconds from now."""
        self.clock.advance(later)
        await self.service.charger.drain()
        await self.service.refunder.drain()

    async def audit(self) -> list[Violation]:
        """Every violation, by our own books and by the provider's."""
        async with self.database.read() as connection:
            own = await self.subgraph.audit(connection)
            return own + await audit_provider(self.provider, connection)

    # The provider's side

    async def at_provider(self, endpoint: str, /, **body: Any) -> dict[str, Any]:
        response = await AsgiSender(self.simulator)("POST", f"/simulator/{endpoint}", {}, orjson.dumps(body))
        assert response.status == 200, response
        answer: dict[str, Any] = orjson.loads(response.body)
        return answer

    async def fault(self, kind: str, path: str = "/v1/", **more: Any) -> None:
        await self.at_provider("faults", kind=kind, path=path, **more)

    async def webhook(self, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Posts it to the provider's door; the status."""
        sent = {"content-type": "application/json", **(headers or {})}
        return (await AsgiSender(self.subgraph.app)("POST", f"/webhooks/{self.provider.name}", sent, body)).status

    async def deliver_webhooks(self) -> int:
        """What the provider has to tell now; how many of them were accepted."""
        self.simulator.deliver_to(self.webhook)
        return await self.simulator.deliver_due()

    def charges_at_provider(self) -> list[dict[str, Any]]:
        now = utc_now()
        journal = self.simulator.store.journal(now - timedelta(days=1), now + timedelta(days=1), None, 1000)
        return [entry for entry in journal if entry["status"] == "DONE"]

    # Things that tests begin with

    async def card(self, user: str, number: str = GOOD_CARD, *, default: bool | None = None) -> str:
        """The ULID of a card that the user has registered."""
        started = await self.do(SETUP, user, url="https://shop.example/cards")
        auth = await self.at_provider("billing-auth", customerKey=started["customerKey"], cardNumber=number)
        payload = await self.do(REGISTER, user, authKey=auth["authKey"], key=new_ulid(), default=default)
        assert payload["userErrors"] == []
        parsed = parse_id(payload["paymentMethod"]["id"])
        assert parsed is not None
        return parsed[1]

    async def payment_of(self, order_id: str) -> dict[str, Any]:
        return next(row for row in await self.rows(payments) if row["payable_id"] == order_id)

    async def shown(self, order_id: str, user: str) -> dict[str, Any]:
        row = await self.payment_of(order_id)
        answer = await self.ask(PAYMENT, user, id=global_id("Payment", row["id"]))
        assert "errors" not in answer, answer
        payment: dict[str, Any] = answer["data"]["payment"]
        return payment


def request(buyer: str, card: str | None, amount: int = 12_000, *, partner: str | None = None) -> PaymentRequested:
    """An order's request to be paid."""
    order_id = new_ulid()
    line = OrderLineFacts(order_line_id=new_ulid(), variant_id=new_ulid(), quantity=1, total=amount, partner_id=partner)
    return PaymentRequested(
        order_id=order_id,
        order_number=f"D-{order_id}",
        order_name="비타민 C 외 1건",
        buyer_id=buyer,
        amount=amount,
        currency="KRW",
        lines=(line,),
        payment_method_id=card,
    )


def settings(**more: Any) -> Settings:
    """Impatient settings for tests."""
    return Settings(retry_seconds=0.5, settle_seconds=60, max_attempts=3, deposit_look_seconds=60, **more)


@pytest.fixture
def buyer() -> str:
    return new_ulid()


@asynccontextmanager
async def opened(database_url: str, folder: Path, **chosen: Any) -> AsyncIterator[World]:
    """Payments with these settings."""
    await upgrade(database_url, app.MIGRATIONS)
    common = CommonSettings(data_dir=folder, claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"))
    clock = Clock()
    given = settings(**chosen)
    simulator = create_simulator(folder / "provider.sqlite", webhook_secret=WEBHOOK_SECRET)
    async with Database(database_url) as database:
        send = AsgiSender(simulator, timeout_seconds=0.3)
        runtime = Runtime(common, database, MemoryBroker(), InProcessChanges(), clock.now)
        subgraph, service = app.assemble(runtime, given, send=send)
        provider = app.provider_of(given, AsgiSender(simulator), clock.now)
        yield World(subgraph, service, database, simulator, provider, clock)
    simulator.store.close()


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(database_url, tmp_path) as made:
        yield made
