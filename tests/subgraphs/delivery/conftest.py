"""Delivery on a database of its own, asked through its door and told through its handlers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from db.migrate import upgrade
from db.session import Database
from messaging.envelope import Event, decode_data
from messaging.events import EventData
from messaging.memory import MemoryBroker
from subgraphs.delivery import app
from subgraphs.delivery.consumers import handlers
from subgraphs.delivery.models import outbox, profiles
from subgraphs.kit.changes import InProcessChanges
from subgraphs.kit.identity import CLAIMS_HEADER, sign_claims
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime, Subgraph, utc_now

SECRET = "delivery-tests"


@dataclass
class World:
    """Delivery, and the ways others meet it."""

    subgraph: Subgraph
    database: Database
    profile_id: str

    async def ask(
        self,
        query: str,
        user: str | None = None,
        *,
        roles: Sequence[str] = (),
        scopes: Sequence[str] = (),
        **given: Any,
    ) -> dict[str, Any]:
        claims = {"sub": user, "roles": list(roles), "scopes": list(scopes), "exp": time.time() + 60}
        headers = {CLAIMS_HEADER: sign_claims(SECRET, claims)}
        return await self.subgraph.endpoint.execute(query, given, None, headers)

    async def tell(self, *events: EventData, now: Callable[[], datetime] = utc_now) -> None:
        """Hand events of one type to their handler, as the consumer would."""
        handler = handlers(now)[type(events[0])]
        wrapped = [
            Event(id=new_ulid(), type=each.type, source="/test", subject=each.subject_id, time=utc_now(), data=each)
            for each in events
        ]
        await self.database.run(lambda tx: handler(tx, wrapped))

    async def told(self, kind: type[EventData]) -> list[Any]:
        """What delivery has told of this type, oldest first."""
        async with self.database.read() as connection:
            query = select(outbox.c.data).where(outbox.c.type == kind.type).order_by(outbox.c.position)
            rows = (await connection.execute(query)).scalars().all()
        return [decode_data(kind.type, row) for row in rows]

    async def audit(self) -> list[Any]:
        async with self.database.read() as connection:
            return await self.subgraph.audit(connection)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    await upgrade(database_url, app.MIGRATIONS)
    common = CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"))
    async with Database(database_url) as database:
        profile_id = new_ulid()
        row = {
            "id": profile_id,
            "version": 1,
            "name": "standard",
            "currency": "KRW",
            "base_fee": 3000,
            "free_over": 50000,
            "remote_surcharge": 4000,
        }
        async with database.transaction() as tx:
            await tx.execute(insert(profiles), row)
        subgraph = app.build(Runtime(common, database, MemoryBroker(), InProcessChanges()))
        yield World(subgraph, database, profile_id)
