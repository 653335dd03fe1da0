"""Texts and numbers that databases differ about: kept as they are or refused, never our failure."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import strawberry
from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select

from db.base import TABLE_OPTIONS
from db.refusals import is_no_text
from db.session import Database
from subgraphs.kit.execute import GraphQLEndpoint
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, sign_claims

METADATA = MetaData()
NOTE = Table(
    "note", METADATA, Column("text", String(100), primary_key=True), Column("number", BigInteger), **TABLE_OPTIONS
)
KEEP = "mutation($text: String!, $number: Int!) { keep(text: $text, number: $number) }"
FIND = "query($text: String!) { find(text: $text) }"


@strawberry.type
class Query:
    @strawberry.field
    async def find(self, info: strawberry.Info[Database, None], text: str) -> int | None:
        async with info.context.read() as connection:
            found = (await connection.execute(select(NOTE.c.number).where(NOTE.c.text == text))).scalar()
        return None if found is None else int(found)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def keep(self, info: strawberry.Info[Database, None], text: str, number: int) -> bool:
        await info.context.run(lambda tx: tx.execute(insert(NOTE).values(text=text, number=number)))
        return True


class Door:
    """A subgraph of two fields on a database."""

    def __init__(self, database: Database) -> None:
        schema = strawberry.federation.Schema(query=Query, mutation=Mutation)
        self._endpoint: GraphQLEndpoint[Any] = GraphQLEndpoint(schema, lambda _: database, ClaimsVerifier("s"))

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        headers = {CLAIMS_HEADER: sign_claims("s", {"sub": "U1", "exp": time.time() + 60})}
        return await self._endpoint.execute(query, variables, None, headers)


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    async with Database(database_url) as database:
        async with database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)
        yield Door(database)


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", ())]


@pytest.mark.parametrize("text", ["🛒", "👩‍👩‍👧", "가\u0301", "\ufeff", "\u202e", "\U0010ffff", "%_\\", "İ", "'\"`"])
async def test_text_comes_back_as_it_went(door: Door, text: str) -> None:
    """Four bytes a character, marks, quotes: found again by itself, and by nothing else."""
    assert await door.ask(KEEP, text=text, number=5) == {"data": {"keep": True}}
    assert await door.ask(FIND, text=text) == {"data": {"find": 5}}
    assert await door.ask(FIND, text=text + "x") == {"data": {"find": None}}


async def test_the_character_zero_is_kept_or_refused(door: Door) -> None:
    """PostgreSQL has no place for it: that is the caller's mistake, in writing and in reading."""
    kept = await door.ask(KEEP, text="a\x00b", number=5)
    assert codes(kept) in ([], ["BAD_USER_INPUT"])
    found = await door.ask(FIND, text="a\x00b")
    assert codes(found) == codes(kept)
    assert found["data"]["find"] == (None if codes(kept) else 5)
    assert await door.ask(FIND, text="ab") == {"data": {"find": None}}


async def test_another_failure_of_the_database_stays_ours(door: Door) -> None:
    """The same row twice breaks a key: no word about text is said of that."""
    await door.ask(KEEP, text="a", number=5)
    assert codes(await door.ask(KEEP, text="a", number=5)) == ["INTERNAL_SERVER_ERROR"]
    assert not is_no_text(ValueError("22021"))


@pytest.mark.parametrize("number", [2**31 - 1, -(2**31)])
async def test_the_ends_of_the_numbers_are_kept(door: Door, number: int) -> None:
    assert await door.ask(KEEP, text="a", number=number) == {"data": {"keep": True}}
    assert await door.ask(FIND, text="a") == {"data": {"find": number}}


@pytest.mark.parametrize("number", [2**31, 2**63, 10**40, 1.5, "5"])
async def test_what_is_no_number_of_graphql_changes_nothing(door: Door, number: Any) -> None:
    answer = await door.ask(KEEP, text="a", number=number)
    assert answer.get("data") is None
    assert codes(answer) == ["BAD_USER_INPUT"]
    assert await door.ask(FIND, text="a") == {"data": {"find": None}}
