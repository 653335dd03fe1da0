"""Funding on a database of its own, asked through its door and told through its handlers, with a clock of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import func, insert, select

from db.migrate import upgrade
from db.session import Database
from messaging.envelope import Event
from messaging.events import CATALOGUE, EventData
from messaging.events.delivery import AddressChanged
from messaging.events.payments import PaymentMethodChanged
from messaging.events.users import UserChanged
from messaging.memory import MemoryBroker
from subgraphs.funding import app, models
from subgraphs.funding.consumers import HANDLERS
from subgraphs.funding.service import Projects
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph

SECRET = "funding-tests"

PROJECT = (
    "project { id slug status version title goalAmount { amount currencyCode } } userErrors { code field message }"
)
CREATE = f"""
mutation($input: ProjectInput!, $key: String!) {{
  projectCreate(input: $input, idempotencyKey: $key) {{ {PROJECT} }}
}}"""
SUBMIT = f"mutation($id: ID!) {{ projectSubmit(id: $id) {{ {PROJECT} }} }}"
REVIEW = f"""
mutation($id: ID!, $approve: Boolean!, $reason: String) {{
  projectReview(id: $id, approve: $approve, reason: $reason) {{ {PROJECT} }}
}}"""
REWARD = """
mutation($project: ID!, $input: RewardInput!) { rewardCreate(projectId: $project, input: $input) {
  reward { id title totalQuantity remainingQuantity soldOut minimumAmount { amount } } userErrors { code field }
} }"""
PLEDGE = """
mutation($input: PledgeInput!, $key: String!) { pledgeCreate(input: $input, idempotencyKey: $key) {
  pledge { id status total { amount currencyCode } cancelableUntil project { pledgedAmount { amount } backerCount } }
  userErrors { code field message }
} }"""
PROJECT_STATE = """
query($id: ID) { project(id: $id) {
  status version backerCount progressPercent favoriteCount pledgedAmount { amount } rewards { remainingQuantity }
} }"""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def pass_by(self, **span: float) -> None:
        self._ahead += timedelta(**span)

    def ahead(self, **span: float) -> str:
        """The time after this span, as GraphQL takes it."""
        return (self() + timedelta(**span)).isoformat()


@dataclass
class Backer:
    """Somebody with a verified address, a payment method and an address of his own."""

    id: str = field(default_factory=new_ulid)
    method: str = field(default_factory=new_ulid)
    address: str = field(default_factory=new_ulid)


@dataclass
class World:
    """Funding, and the ways others meet it."""

    subgraph: Subgraph
    database: Database
    clock: Clock
    changes: InProcessChanges
    category: str

    async def ask(
        self,
        query: str,
        user: str | None = None,
        /,
        *,
        roles: Sequence[str] = (),
        scopes: Sequence[str] = (),
        **given: Any,
    ) -> dict[str, Any]:
        """The whole answer."""
        return await self.subgraph.endpoint.execute(query, given, None, headers(user, roles, scopes))

    async def do(self, query: str, user: str | None = None, /, *, scopes: Sequence[str] = (), **given: Any) -> Any:
        """The answer's only field, of an operation that must not fail."""
        answer = await self.ask(query, user, scopes=scopes, **given)
        assert "errors" not in answer, answer
        (value,) = answer["data"].values()
        return value

    async def tell(self, *events: EventData) -> None:
        """Hand events of one type to their handler, as the consumer would."""
        handler = HANDLERS[type(events[0])]
        wrapped = [
            Event(id=new_ulid(), type=each.type, source="/test", subject=each.subject_id, time=self.clock(), data=each)
            for each in events
        ]
        await self.database.run(lambda tx: handler(tx, wrapped))

    async def told(self, kind: type[EventData]) -> list[Any]:
        """What funding has told of this type, oldest first."""
        query = select(models.outbox.c.data).where(models.outbox.c.type == kind.type)
        async with self.database.read() as connection:
            rows = (await connection.execute(query.order_by(models.outbox.c.position))).scalars().all()
        return [msgspec.json.decode(row, type=CATALOGUE[kind.type]) for row in rows]

    async def count(self, table: Any) -> int:
        async with self.database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())

    async def violations(self) -> list[str]:
        async with self.database.read() as connection:
            return [each.invariant for each in await self.subgraph.audit(connection)]

    def draft(self, **changes: Any) -> dict[str, Any]:
        """What a creator might write."""
        now = self.clock()
        return {
            "title": "달빛 조명",
            "story": "A lamp like the moon.",
            "categoryId": self.category,
            "goalAmount": "100000",
            "closesAt": (now + timedelta(days=10)).isoformat(),
            **changes,
        }

    async def create(self, creator: str, *, key: str | None = None, **changes: Any) -> Any:
        return await self.do(CREATE, creator, input=self.draft(**changes), key=new_ulid() if key is None else key)

    async def open(self, creator: str | None = None, **changes: Any) -> str:
        """A project that was reviewed and takes pledges (or will, with ``opensAt``); its id in the graph."""
        owner = creator or new_ulid()
        made = await self.create(owner, **changes)
        assert made["userErrors"] == []
        project: str = made["project"]["id"]
        assert (await self.do(SUBMIT, owner, id=project))["userErrors"] == []
        reviewed = await self.do(REVIEW, new_ulid(), scopes=["projects:review"], id=project, approve=True)
        assert reviewed["userErrors"] == []
        return project

    async def reward(self, creator: str, project: str, **changes: Any) -> str:
        """A reward of the project; its id in the graph."""
        made = await self.do(REWARD, creator, project=project, input=reward_input(**changes))
        assert made["userErrors"] == []
        return str(made["reward"]["id"])

    async def backer(self) -> Backer:
        backer = Backer()
        await self.tell(UserChanged(user_id=backer.id, version=1, display_name="두레", email_verified=True))
        await self.tell(method_of(backer))
        await self.tell(address_of(backer))
        return backer

    async def pledge(self, backer: Backer, project: str, *, key: str | None = None, **changes: Any) -> Any:
        given = {"projectId": project, "paymentMethodId": global_id("PaymentMethod", backer.method), **changes}
        return await self.do(PLEDGE, backer.id, input=given, key=new_ulid() if key is None else key)

    async def state(self, project: str) -> Any:
        return await self.do(PROJECT_STATE, id=project)

    async def sweep(self) -> int:
        """What the worker of the deadlines does, once."""
        return await Projects(self.database, self.changes, lambda: None, self.clock, 60).sweep()


def headers(user: str | None, roles: Sequence[str] = (), scopes: Sequence[str] = ()) -> dict[str, str]:
    claims = {"sub": user, "roles": list(roles), "scopes": list(scopes), "exp": time.time() + 60}
    return {CLAIMS_HEADER: sign_claims(SECRET, claims)}


def reward_input(**changes: Any) -> dict[str, Any]:
    return {
        "title": "One lamp",
        "description": "Of clay.",
        "minimumAmount": "30000",
        "estimatedDeliveryOn": "2027-05-01",
        "shippingRequired": False,
        **changes,
    }


def method_of(backer: Backer, version: int = 1, status: str = "ACTIVE") -> PaymentMethodChanged:
    return PaymentMethodChanged(
        payment_method_id=backer.method, version=version, user_id=backer.id, kind="CARD", summary="1234", status=status
    )


def address_of(backer: Backer, version: int = 1, *, deleted: bool = False) -> AddressChanged:
    return AddressChanged(
        address_id=backer.address,
        version=version,
        user_id=backer.id,
        recipient="R",
        phone="010",
        postal_code="03000",
        line1="1",
        deleted=deleted,
    )


def codes(payload: Any) -> list[str]:
    return [each["code"] for each in payload["userErrors"]]


@asynccontextmanager
async def funding(url: str, clock: Clock | None = None) -> AsyncIterator[World]:
    """Funding on a database that is migrated already."""
    common = CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"))
    clock, changes = clock or Clock(), InProcessChanges()
    async with Database(url) as database:
        subgraph = app.build(Runtime(common, database, MemoryBroker(), changes, clock))
        yield World(subgraph, database, clock, changes, "")


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    await upgrade(database_url, app.MIGRATIONS)
    async with funding(database_url) as world:
        category = new_ulid()
        async with world.database.transaction() as tx:
            await tx.execute(insert(models.categories), {"id": category, "slug": "light", "name": "조명"})
        world.category = global_id("ProjectCategory", category)
        yield world
