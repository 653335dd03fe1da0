"""Products on a database of its own, asked through its door and told through its handlers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from db.migrate import upgrade
from db.session import Database
from messaging.envelope import Event
from messaging.events import CATALOGUE, EventData
from messaging.events.delivery import ShippingProfileChanged
from messaging.events.orders import StockLine, StockReservationRequested
from messaging.events.users import PartnerChanged
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.products import app, models
from subgraphs.products.consumers import handlers
from subgraphs.products.settings import Settings
from subgraphs.products.shop import Shop

SECRET = "products-tests"
SELLER_SCOPES = ("products:write", "inventory:read", "inventory:write")
ADMIN_SCOPES = (*SELLER_SCOPES, "products:review")


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.time

    def move(self, by: timedelta) -> None:
        self.time += by


@dataclass
class World:
    """Products, and the ways others meet it. ``seller`` is a member of the active ``partner_id``."""

    subgraph: Subgraph
    database: Database
    shop: Shop
    clock: Clock
    changes: InProcessChanges
    partner_id: str
    seller: str
    admin: str

    async def ask(
        self, query: str, user: str | None = None, *, scopes: Sequence[str] | None = None, **given: Any
    ) -> dict[str, Any]:
        """The whole answer. Scopes follow from who asks unless they are given."""
        if scopes is None:
            scopes = {self.seller: SELLER_SCOPES, self.admin: ADMIN_SCOPES}.get(user or "", ())
        claims = {"sub": user, "scopes": list(scopes), "exp": time.time() + 60}
        headers = {CLAIMS_HEADER: sign_claims(SECRET, claims)}
        return await self.subgraph.endpoint.execute(query, given, None, headers)

    async def data(self, query: str, user: str | None = None, **given: Any) -> Any:
        """The data of an answer that must have no errors."""
        answer = await self.ask(query, user, **given)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def tell(self, *events: EventData) -> None:
        """Hand events of one type to their handler, as the consumer would."""
        handler = handlers(self.shop)[type(events[0])]
        now = self.clock()
        wrapped: list[Event[Any]] = [
            Event(id=new_ulid(), type=each.type, source="/test", subject=each.subject_id, time=now, data=each)
            for each in events
        ]
        hook = await self.database.run(lambda tx: handler(tx, wrapped))
        if hook is not None:
            hook()

    async def told(self, kind: type[EventData]) -> list[Any]:
        """What products has told of this type, oldest first."""
        async with self.database.read() as connection:
            query = select(models.outbox.c.data).where(models.outbox.c.type == kind.type)
            rows = (await connection.execute(query.order_by(models.outbox.c.position))).scalars().all()
        return [msgspec.json.decode(row, type=CATALOGUE[kind.type]) for row in rows]

    async def violations(self) -> list[Any]:
        async with self.database.read() as connection:
            return await self.subgraph.audit(connection)

    async def add(self, table: Any, *rows: dict[str, Any]) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(insert(table), list(rows))

    async def level(self, variant: str) -> tuple[int, int, int]:
        """On hand, reserved, allocated."""
        table = models.StockLevel.__table__
        async with self.database.read() as connection:
            row = (await connection.execute(select(table).where(table.c.variant_id == variant))).one()
        return row.on_hand, row.reserved, row.allocated

    async def publish(self, name: str, *skus: str, units: int = 10, price: str = "10000", **more: Any) -> Product:
        """A published product of the seller, entered and reviewed through the door."""
        variants = [
            {"sku": sku, "name": sku, "price": price, "weightGrams": 100, "initialQuantity": units} for sku in skus
        ]
        given = {"name": name, "type": "SUPPLEMENT", "categoryIds": [], "variants": variants, **more}
        created = await self.data(CREATE, self.seller, input=given, key=new_ulid())
        assert created["productCreate"]["userErrors"] == []
        product = created["productCreate"]["product"]
        await self.data(SUBMIT, self.seller, id=product["id"])
        reviewed = await self.data(REVIEW, self.admin, id=product["id"])
        assert reviewed["productReview"]["product"]["status"] == "PUBLISHED"
        return Product(product["id"], [each["id"] for each in product["variants"]])


@dataclass
class Product:
    """Ids as clients see them; ``ulids`` are those of the variants as events have them."""

    id: str
    variants: list[str]

    @property
    def ulids(self) -> list[str]:
        return [bare(each) for each in self.variants]


def bare(given: str) -> str:
    """The ULID in a client's id."""
    from subgraphs.kit.ids import parse_id

    parsed = parse_id(given)
    assert parsed is not None
    return parsed[1]


def order_of(**units: int) -> StockReservationRequested:
    """A fresh order's request for units by variant."""
    lines = tuple(StockLine(variant_id=variant, quantity=quantity) for variant, quantity in units.items())
    return StockReservationRequested(order_id=new_ulid(), buyer_id=new_ulid(), lines=lines)


CREATE = """mutation($input: ProductInput!, $key: String!) { productCreate(input: $input, idempotencyKey: $key) {
  product { id slug status version variants { id sku price { amount } availableQuantity } }
  userErrors { code field message } } }"""
UPDATE = """mutation($id: ID!, $version: Int!, $input: ProductInput!) {
  productUpdate(id: $id, version: $version, input: $input) {
    product { id name status version variants { id sku price { amount } availableQuantity } }
    userErrors { code field } } }"""
SUBMIT = "mutation($id: ID!) { productSubmitForReview(id: $id) { product { status } userErrors { code } } }"
REVIEW = """mutation($id: ID!, $approve: Boolean! = true, $reason: String) {
  productReview(id: $id, approve: $approve, reason: $reason) { product { status } userErrors { code field } } }"""


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async for each in open_world(database_url, tmp_path):
        yield each


async def open_world(url: str, folder: Path, settings: Settings | None = None) -> AsyncIterator[World]:
    """Products on this database, with a seller; files are kept in the folder."""
    await upgrade(url, app.MIGRATIONS)
    common = CommonSettings(data_dir=folder, claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"))
    clock, changes = Clock(), InProcessChanges()
    partner_id, seller, admin = new_ulid(), new_ulid(), new_ulid()
    async with Database(url) as database:
        shop = Shop(database, changes, settings or Settings(), clock, lambda: None)
        subgraph = app.build(Runtime(common, database, MemoryBroker(), changes, clock), shop.settings)
        made = World(subgraph, database, shop, clock, changes, partner_id, seller, admin)
        partner = {"partner_id": partner_id, "version": 1, "slug": "farm", "name": "Dure Farm", "status": "ACTIVE"}
        await made.tell(PartnerChanged(**partner, member_ids=(seller,)))  # type: ignore[arg-type]
        profile = {"shipping_profile_id": new_ulid(), "version": 1, "name": "standard", "currency": "KRW"}
        await made.tell(ShippingProfileChanged(**profile, base_fee=3000, remote_surcharge=0))  # type: ignore[arg-type]
        yield made


__all__ = ["Product", "World", "bare", "global_id", "order_of"]
