"""Callers of a subgraph who stop waiting, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import strawberry
import uvicorn
from sqlalchemy import text

from db.session import Database
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, sign_claims
from subgraphs.kit.wanted import TIMEOUT_HEADER, patience
from tests.support.process import free_port
from tests.support.waiting import eventually


@dataclass
class Work:
    """What resolvers do, and what became of it."""

    database: Database
    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    cancelled: int = 0
    done: int = 0

    async def wait(self) -> None:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.done += 1

    async def keep(self) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(text("INSERT INTO kept VALUES (1)"))

    async def kept(self) -> int:
        async with self.database.read() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM kept"))).scalar_one())


Info = strawberry.Info[Work, None]


@strawberry.type
class Query:
    @strawberry.field
    async def slow(self, info: Info) -> int:
        await info.context.wait()
        return 1


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def wait_then_keep(self, info: Info) -> int:
        await info.context.wait()
        await info.context.keep()
        return 1

    @strawberry.mutation
    async def keep_then_wait(self, info: Info) -> int:
        await info.context.keep()
        await info.context.wait()
        return 1


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Work]]:
    async with Database(f"sqlite+aiosqlite:///{tmp_path}/app.db") as database:
        work = Work(database)
        async with database.transaction() as tx:
            await tx.execute(text("CREATE TABLE kept (number INTEGER)"))

        def context(_: Caller) -> Work:
            return work

        schema = strawberry.federation.Schema(query=Query, mutation=Mutation)
        app = http_app("test", GraphQLEndpoint(schema, context, ClaimsVerifier("s")), database)
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client, work
        work.go.set()
        server.should_exit = True
        await task


async def ask(client: httpx.AsyncClient, query: str, timeout_ms: int | None = None) -> httpx.Response:
    headers = {CLAIMS_HEADER: sign_claims("s", {"exp": time.time() + 60})}
    if timeout_ms is not None:
        headers[TIMEOUT_HEADER] = str(timeout_ms)
    return await client.post("/graphql", json={"query": query}, headers=headers)


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["errors"][0]["extensions"]["code"]
    return found


async def test_a_query_ends_with_its_callers_patience(served: tuple[httpx.AsyncClient, Work]) -> None:
    """It is cancelled in the middle, and says so to whoever may still be there."""
    client, work = served
    answer = await ask(client, "{ slow }", 50)
    assert (answer.status_code, code(answer)) == (504, "REQUEST_TIMEOUT")
    assert (work.begun, work.cancelled) == (1, 1)


async def test_a_caller_who_does_not_say_is_answered(served: tuple[httpx.AsyncClient, Work]) -> None:
    """The control: the same query, without a deadline or with one that is no number, is not cut off."""
    client, work = served
    headers = {CLAIMS_HEADER: sign_claims("s", {"exp": time.time() + 60}), TIMEOUT_HEADER: "soon"}
    asked = [
        asyncio.create_task(client.post("/graphql", json={"query": "{ slow }"}, headers=headers)),
        asyncio.create_task(ask(client, "{ slow }")),
    ]
    await eventually(lambda: work.begun == 2)
    done, _ = await asyncio.wait(asked, timeout=0.15)
    assert not done
    work.go.set()
    assert [each.json() for each in await asyncio.gather(*asked)] == [{"data": {"slow": 1}}] * 2


async def leave(client: httpx.AsyncClient, work: Work, query: str) -> None:
    asked = asyncio.create_task(ask(client, query))
    await eventually(lambda: work.begun == 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def test_a_query_ends_when_its_caller_leaves(served: tuple[httpx.AsyncClient, Work]) -> None:
    client, work = served
    await leave(client, work, "{ slow }")
    await eventually(lambda: work.cancelled == 1)


async def test_a_mutation_outlives_its_caller(served: tuple[httpx.AsyncClient, Work]) -> None:
    """A caller who breaks off has not taken anything back."""
    client, work = served
    await leave(client, work, "mutation { waitThenKeep }")
    await asyncio.sleep(0.15)  # longer than it takes to notice that they went
    work.go.set()
    await eventually(work.kept)
    assert (work.cancelled, work.done) == (0, 1)


async def test_a_late_mutation_changes_nothing(served: tuple[httpx.AsyncClient, Work]) -> None:
    """Its first change would come too late. The control: in time it is kept."""
    client, work = served
    asked = asyncio.create_task(ask(client, "mutation { waitThenKeep }", 50))
    done, _ = await asyncio.wait((asked,), timeout=0.1)
    assert not done, "it is not cut off in the middle"
    work.go.set()
    answer = await asked
    assert (answer.status_code, code(answer), await work.kept()) == (200, "REQUEST_TIMEOUT", 0)
    assert (await ask(client, "mutation { waitThenKeep }", 20_000)).json() == {"data": {"waitThenKeep": 1}}
    assert await work.kept() == 1


async def test_a_mutation_that_is_committed_is_answered(served: tuple[httpx.AsyncClient, Work]) -> None:
    """However late the rest of it is."""
    client, work = served
    asked = asyncio.create_task(ask(client, "mutation { keepThenWait again: keepThenWait }", 200))
    await eventually(lambda: work.begun == 1)
    await asyncio.wait((asked,), timeout=0.3)
    work.go.set()
    assert (await asked).json() == {"data": {"keepThenWait": 1, "again": 1}}
    assert await work.kept() == 2


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "٣", "9999999999", "1e3"])
def test_a_deadline_that_is_no_number_is_none(value: str) -> None:
    assert patience({TIMEOUT_HEADER: value}) is None
    assert patience({TIMEOUT_HEADER: "1500"}) == 1.5
