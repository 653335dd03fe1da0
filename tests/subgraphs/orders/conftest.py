"""Orders on a database of its own, with a broker that only records: the tests play the other subgraphs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db import migrate
from db.session import Database
from messaging.broker import Message
from messaging.consumer import Consumer
from messaging.envelope import Event, decode_batch, encode_batch
from messaging.events import EventData
from messaging.events.delivery import AddressChanged, ShippingProfileChanged
from messaging.events.payments import PaymentMethodChanged
from messaging.events.products import VariantChanged
from messaging.events.users import PartnerChanged, UserChanged
from messaging.memory import MemoryBroker
from messaging.relay import pack
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph, Violation
from subgraphs.orders import models
from subgraphs.orders.app import MIGRATIONS, build
from subgraphs.orders.consumers import handlers
from subgraphs.orders.service.live import Live
from subgraphs.orders.service.sweep import Sweeper
from subgraphs.orders.settings import Settings

SECRET = "claims secret of the tests"
BUYER, STRANGER, SELLER, STAFF = (new_ulid() for _ in range(4))
PARTNER, OTHER_PARTNER, PROFILE = (new_ulid() for _ in range(3))
ADDRESS, REMOTE_ADDRESS, STRANGERS_ADDRESS = (new_ulid() for _ in range(3))
CARD, STRANGERS_CARD = new_ulid(), new_ulid()
VITAMIN, COFFEE, MUG = (new_ulid() for _ in range(3))


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Shop:
    """The orders subgraph under test."""

    subgraph: Subgraph
    runtime: Runtime
    clock: Clock
    consumer: Consumer
    sweeper: Sweeper

    async def ask(self, query: str, user: str | None = None, *, scopes: Sequence[str] = (), **variables: Any) -> Any:
        claims = {"sub": user, "scopes": list(scopes), "exp": time.time() + 60}
        headers = {CLAIMS_HEADER: sign_claims(SECRET, claims)}
        return await self.subgraph.endpoint.execute(query, variables, None, headers)

    async def tell(self, *events: EventData) -> None:
        """Deliver events as other subgraphs' messages, one a message."""
        for data in events:
            await self.tell_together([data])

    async def tell_together(self, events: Sequence[EventData], ids: Sequence[str] = ()) -> None:
        """Deliver events of one type as one message."""
        ids = ids or [new_ulid() for _ in events]
        batch = [
            Event(id=id, type=data.type, source="/dure/test", subject=data.subject_id, time=self.clock(), data=data)
            for id, data in zip(ids, events, strict=True)
        ]
        await self.consumer.handle(Message(type=batch[0].type, body=encode_batch(batch), id=batch[0].id))

    async def told(self) -> list[EventData]:
        """All events recorded so far, oldest first."""
        async with self.runtime.database.read() as connection:
            rows = (await connection.execute(select(models.outbox).order_by(models.outbox.c.position))).all()
        return [decode_batch(pack([row])[0].message().body)[0].data for row in rows]

    async def told_of(self, order_id: str) -> list[str]:
        """The names of the events about an order, oldest first."""
        return [type(event).__name__ for event in await self.told() if event.subject_id == order_id]

    async def order(self, order_id: str) -> Any:
        async with self.runtime.database.read() as connection:
            query = select(models.orders, models.sagas).join(
                models.sagas, models.sagas.c.order_id == models.orders.c.id
            )
            return (await connection.execute(query.where(models.orders.c.id == order_id))).one()

    async def count(self, table: Any) -> int:
        async with self.runtime.database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())

    async def audit(self) -> list[Violation]:
        async with self.runtime.database.read() as connection:
            return list(await self.subgraph.audit(connection))

    async def change(self, statement: Any) -> None:
        async def work(tx: AsyncConnection) -> None:
            await tx.execute(statement)

        await self.runtime.database.run(work)


async def open_shop(url: str, clock: Clock, settings: Settings | None = None) -> Shop:
    settings = settings or Settings()
    common = CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("cursors"))
    runtime = Runtime(common, Database(url), MemoryBroker(), InProcessChanges(), clock)
    live = Live(runtime.changes)
    consumer = Consumer(
        runtime.database,
        models.inbox,
        models.dead_letters,
        runtime.broker,
        "dure.orders",
        handlers(live, clock, ask_again_after=settings.ask_again_after),
        after_commit=lambda: None,
        attempts=1,
    )
    sweeper = Sweeper(runtime, settings, live, lambda: None)
    return Shop(build(runtime, settings), runtime, clock, consumer, sweeper)


@pytest.fixture
async def shop(sqlite_database_url: str) -> AsyncIterator[Shop]:
    """Orders on SQLite, with a buyer, his address and card, and three products of two sellers."""
    await migrate.upgrade(sqlite_database_url, MIGRATIONS)
    made = await open_shop(sqlite_database_url, Clock())
    await made.tell(*facts())
    yield made
    await made.runtime.database.close()


@pytest.fixture
async def any_shop(database_url: str) -> AsyncIterator[Shop]:
    """The same on each database in turn."""
    await migrate.upgrade(database_url, MIGRATIONS)
    made = await open_shop(database_url, Clock())
    await made.tell(*facts())
    yield made
    await made.runtime.database.close()


def variant(variant_id: str, price: int, partner: str | None, **more: Any) -> VariantChanged:
    given: dict[str, Any] = {
        "variant_id": variant_id,
        "version": 1,
        "product_id": new_ulid(),
        "sku": f"SKU-{variant_id[-6:]}",
        "product_name": "비타민 C 1000",
        "variant_name": "60정",
        "price": price,
        "currency": "KRW",
        "weight_grams": 100,
        "shipping_profile_id": PROFILE,
        "purchasable": True,
        "partner_id": partner,
    }
    return VariantChanged(**(given | more))


def address(address_id: str, user_id: str, **more: Any) -> AddressChanged:
    given: dict[str, Any] = {
        "address_id": address_id,
        "version": 1,
        "user_id": user_id,
        "recipient": "김두레",
        "phone": "+821012345678",
        "postal_code": "04524",
        "line1": "서울특별시 중구 세종대로 110",
    }
    return AddressChanged(**(given | more))


def card(method_id: str, user_id: str, **more: Any) -> PaymentMethodChanged:
    given: dict[str, Any] = {"version": 1, "kind": "BILLING_KEY", "summary": "1234", "status": "ACTIVE"}
    return PaymentMethodChanged(payment_method_id=method_id, user_id=user_id, **(given | more))


def facts() -> list[EventData]:
    """What the other subgraphs have told before the tests begin. A parcel costs 3000 won, nothing from 50000 on."""
    return [
        UserChanged(user_id=BUYER, version=1, display_name="두레", email_verified=True),
        UserChanged(user_id=STRANGER, version=1, display_name="남", email_verified=False),
        PartnerChanged(partner_id=PARTNER, version=1, slug="a", name="A", status="ACTIVE", member_ids=(SELLER,)),
        PartnerChanged(partner_id=OTHER_PARTNER, version=1, slug="b", name="B", status="ACTIVE"),
        ShippingProfileChanged(
            shipping_profile_id=PROFILE,
            version=1,
            name="standard",
            currency="KRW",
            base_fee=3000,
            remote_surcharge=4000,
            free_over=50_000,
        ),
        variant(VITAMIN, 20_000, PARTNER),
        variant(COFFEE, 10_000, OTHER_PARTNER, product_name="커피", purchase_limit=5),
        variant(MUG, 7_000, PARTNER, product_name="머그", purchasable=False),
        address(ADDRESS, BUYER),
        address(REMOTE_ADDRESS, BUYER, postal_code="63100", remote_area=True),
        address(STRANGERS_ADDRESS, STRANGER),
        card(CARD, BUYER),
        card(STRANGERS_CARD, STRANGER),
    ]


ORDER_CREATE = """
mutation($input: OrderCreateInput!, $key: String!) {
  orderCreate(input: $input, idempotencyKey: $key) {
    order { id number status total { amount } shipping { amount } nextTransitions }
    userErrors { __typename code field message }
  }
}
"""


def wanted(**changes: Any) -> dict[str, Any]:
    """An order that may be placed: one vitamin and one coffee, 30000 won and two parcels."""
    given: dict[str, Any] = {
        "lines": [
            {"variantId": global_id("ProductVariant", VITAMIN), "quantity": 1},
            {"variantId": global_id("ProductVariant", COFFEE), "quantity": 1},
        ],
        "addressId": global_id("Address", ADDRESS),
        "paymentMethodId": global_id("PaymentMethod", CARD),
        "expectedTotal": "36000",
    }
    return given | changes


Place = Callable[..., Any]


async def place(shop: Shop, **changes: Any) -> str:
    """The ULID of a new order of BUYER's."""
    answer = await shop.ask(ORDER_CREATE, BUYER, input=wanted(**changes), key=new_ulid())
    payload: Mapping[str, Any] = answer["data"]["orderCreate"]
    assert payload["userErrors"] == []
    order_id: str = (await latest(shop)).id
    return order_id


async def latest(shop: Shop) -> Any:
    async with shop.runtime.database.read() as connection:
        return (await connection.execute(select(models.orders).order_by(models.orders.c.id.desc()).limit(1))).one()
