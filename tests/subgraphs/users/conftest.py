"""Users on a database of its own, asked through its door and told through its consumer, with a clock that is set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from pydantic import SecretStr
from sqlalchemy import insert, select

from db.migrate import upgrade
from db.session import Database
from messaging.broker import Message
from messaging.consumer import Consumer
from messaging.envelope import Event, encode_batch
from messaging.events import CATALOGUE, EventData
from messaging.memory import MemoryBroker
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import new_ulid, parse_id
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.users import app, consumers, mail
from subgraphs.users.keys import SigningKeys
from subgraphs.users.models import dead_letters, inbox, outbox, user_roles
from subgraphs.users.passwords import PasswordPool
from subgraphs.users.service.deps import Deps
from subgraphs.users.settings import Settings
from subgraphs.users.social import Provider
from subgraphs.users.texts import Sender

SECRET = "users-tests"
PASSWORD = "correct horse battery"

REGISTER = """mutation($input: AccountRegisterInput!) {
  accountRegister(input: $input) { user { id email } userErrors { __typename code field message } }
}"""
TOKENS = "tokens { accessToken refreshToken expiresAt user { id email } session { id current deviceName ipAddress } }"
LOG_IN = f"""mutation($email: String!, $password: String!, $device: String) {{
  tokenCreate(email: $email, password: $password, deviceName: $device) {{ {TOKENS} userErrors {{ code field }} }}
}}"""
VERIFY = f"mutation($token: String!) {{ accountEmailVerify(token: $token) {{ {TOKENS} userErrors {{ code field }} }} }}"


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **passed: float) -> None:
        self.at += timedelta(**passed)


@dataclass
class Member:
    """Somebody logged in."""

    id: str
    global_id: str
    email: str
    session_id: str
    access_token: str
    refresh_token: str
    scopes: Sequence[str] = ()


@dataclass
class World:
    """Users, and the ways others meet it."""

    subgraph: Subgraph
    database: Database
    clock: Clock
    deps: Deps
    changes: InProcessChanges
    runtime: Runtime

    def headers(self, member: Member | None = None, ip: str = "203.0.113.7", **more: str) -> dict[str, str]:
        claims: dict[str, Any] = {"sub": None, "exp": time.time() + 60}
        if member:
            claims |= {"sub": member.id, "sid": member.session_id, "scopes": list(member.scopes)}
        return {CLAIMS_HEADER: sign_claims(SECRET, claims), "x-forwarded-for": ip, **more}

    async def ask(
        self, query: str, member: Member | None = None, *, ip: str = "203.0.113.7", **given: Any
    ) -> dict[str, Any]:
        return await self.subgraph.endpoint.execute(query, given, None, self.headers(member, ip))

    async def register(self, email: str, **more: Any) -> dict[str, Any]:
        given = {"email": email, "password": PASSWORD, "name": "김두레", "agreedTermVersions": ["2026-01"], **more}
        answer = await self.ask(REGISTER, input=given)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["accountRegister"]
        return payload

    async def log_in(self, email: str, password: str = PASSWORD, **where: Any) -> dict[str, Any]:
        answer = await self.ask(LOG_IN, email=email, password=password, device="test", **where)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["tokenCreate"]
        return payload

    async def mails(self, email: str) -> list[dict[str, Any]]:
        """The e-mails to an address, the newest first."""
        return await mail.sent_to(self.database, email)

    async def member(self, email: str = "buyer@example.com", *, verified: bool = True) -> Member:
        """Somebody registered and logged in."""
        assert (await self.register(email))["userErrors"] == []
        if verified:
            (letter,) = await self.mails(email)
            answer = await self.ask(VERIFY, token=letter["token"])
            return self.holder(answer["data"]["accountEmailVerify"]["tokens"], email)
        return self.holder((await self.log_in(email))["tokens"], email)

    async def admin(self) -> Member:
        """Somebody who reviews partners and reads users."""
        member = await self.member("admin@example.com")
        async with self.database.transaction() as tx:
            await tx.execute(insert(user_roles), [{"user_id": member.id, "role": "ADMIN"}])
        return self.holder((await self.log_in(member.email))["tokens"], member.email, await self.keys())

    async def keys(self) -> KeySet:
        return KeySet.import_key_set(await self.deps.keys.jwks())  # type: ignore[arg-type]

    def holder(self, tokens: dict[str, Any], email: str, keys: KeySet | None = None) -> Member:
        user, session = parse_id(tokens["user"]["id"]), parse_id(tokens["session"]["id"])
        assert user
        assert session
        access, refresh = tokens["accessToken"], tokens["refreshToken"]
        member = Member(user[1], tokens["user"]["id"], email, session[1], access, refresh)
        if keys is not None:
            member.scopes = jwt.decode(access, keys, algorithms=["EdDSA"]).claims["scopes"]
        return member

    async def tell(self, *data: EventData, ids: Sequence[str] | None = None) -> list[str]:
        """Deliver events of one type as one message; their ids."""
        made = list(ids or [new_ulid() for _ in data])
        events = [
            Event(id=id, type=each.type, source="/test", subject=each.subject_id, time=self.clock(), data=each)
            for id, each in zip(made, data, strict=True)
        ]
        consumer = Consumer(
            self.database,
            inbox,
            dead_letters,
            MemoryBroker(),
            "dure.users",
            consumers.handlers(self.deps),
            after_commit=lambda: None,
        )
        await consumer.handle(Message(type=data[0].type, body=encode_batch(events), id=new_ulid()))
        return made

    async def told(self, kind: type[EventData]) -> list[Any]:
        """What users has told of this type, oldest first."""
        query = select(outbox.c.data).where(outbox.c.type == kind.type).order_by(outbox.c.position)
        return [msgspec.json.decode(row, type=CATALOGUE[kind.type]) for row in await self.column(query)]

    async def column(self, query: Any) -> list[Any]:
        async with self.database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def rows(self, table: Any) -> list[Any]:
        async with self.database.read() as connection:
            return list((await connection.execute(select(table))).all())

    async def run(self, statement: Any) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(statement)

    async def audit(self) -> list[str]:
        async with self.database.read() as connection:
            return [each.invariant.partition(":")[0] for each in await self.subgraph.audit(connection)]


async def open_world(
    url: str,
    settings: Settings | None = None,
    social: Mapping[str, Provider] | None = None,
    sms: Sender | None = None,
    common: CommonSettings | None = None,
) -> AsyncIterator[World]:
    await upgrade(url, app.MIGRATIONS)
    common = common or CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"))
    settings = settings or Settings(argon2_memory_kib=64, argon2_passes=1)
    async with Database(url) as database:
        clock, changes = Clock(), InProcessChanges()
        runtime = Runtime(common, database, MemoryBroker(), changes, clock)
        keys, passwords = SigningKeys(database, settings, clock), PasswordPool(settings)
        deps = Deps(database, settings, passwords, keys, changes, clock, lambda: None, texts=sms is not None)
        yield World(app.build(runtime, settings, social=social, sms=sms), database, clock, deps, changes, runtime)


@pytest.fixture
async def world(sqlite_database_url: str) -> AsyncIterator[World]:
    """Users on SQLite."""
    async for each in open_world(sqlite_database_url):
        yield each


@pytest.fixture
async def any_world(database_url: str) -> AsyncIterator[World]:
    """Users on SQLite, PostgreSQL and MariaDB in turn."""
    async for each in open_world(database_url):
        yield each


@pytest.fixture
async def server_world(server_database_url: str) -> AsyncIterator[World]:
    """Users on PostgreSQL and MariaDB in turn: where two writers meet."""
    async for each in open_world(server_database_url):
        yield each
