"""The one door of a subgraph."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import strawberry
from sqlalchemy.exc import TimeoutError as PoolTimeout

from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, sign_claims

SECRET = "a secret"


@strawberry.federation.type(keys=["id"])
class Thing:
    id: strawberry.ID
    name: str | None


@strawberry.type
class Query:
    @strawberry.field
    def whoami(self, info: strawberry.Info[Caller, None]) -> str | None:
        return info.context.identity.user_id

    @strawberry.field
    def thing(self) -> Thing | None:
        return Thing(id=strawberry.ID("1"), name="one")

    @strawberry.field
    def denied(self) -> str | None:
        raise AccessDenied("FORBIDDEN", "Not yours.")

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("password=hunter2")

    @strawberry.field
    def crowded(self) -> str | None:
        raise PoolTimeout("QueuePool limit of size 10 overflow 0 reached")


@dataclass
class Calls:
    sizes: list[int]


@pytest.fixture
def calls() -> Calls:
    return Calls([])


@pytest.fixture
def endpoint(calls: Calls) -> GraphQLEndpoint[Caller]:
    schema = strawberry.federation.Schema(query=Query, types=[Thing])

    async def things(representations: Sequence[Mapping[str, Any]], _context: Any) -> list[Thing | Exception | None]:
        calls.sizes.append(len(representations))
        known = {"1": Thing(id=strawberry.ID("1"), name="one")}
        return [known.get(str(each.get("id"))) for each in representations]

    resolve_entities(schema, {"Thing": things})
    return GraphQLEndpoint(schema, lambda caller: caller, ClaimsVerifier(SECRET))


def headers(user: str | None = None, expires_in: float = 60) -> dict[str, str]:
    return {CLAIMS_HEADER: sign_claims(SECRET, {"sub": user, "exp": time.time() + expires_in})}


async def ask(endpoint: GraphQLEndpoint[Caller], query: str, given: dict[str, str], **variables: Any) -> dict[str, Any]:
    return await endpoint.execute(query, variables, None, given)


async def test_a_caller_is_who_the_signed_claims_say(endpoint: GraphQLEndpoint[Caller]) -> None:
    assert await ask(endpoint, "{ whoami }", headers("U1")) == {"data": {"whoami": "U1"}}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {CLAIMS_HEADER: "nonsense"},
        {CLAIMS_HEADER: sign_claims("another secret", {"sub": "U1", "exp": time.time() + 60})},
        headers("U1", expires_in=-1),
    ],
    ids=["missing", "malformed", "forged", "expired"],
)
async def test_a_call_that_is_not_the_routers_is_refused(
    endpoint: GraphQLEndpoint[Caller], given: dict[str, str]
) -> None:
    answer = await ask(endpoint, "{ whoami }", given)
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_an_invalid_document_is_refused_each_time(endpoint: GraphQLEndpoint[Caller]) -> None:
    for _ in range(2):
        answer = await ask(endpoint, "{ nothing }", headers())
        assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_our_own_errors_are_told_and_a_bug_is_hidden(endpoint: GraphQLEndpoint[Caller]) -> None:
    answer = await ask(endpoint, "{ denied broken }", headers())
    told = {error["path"][0]: error for error in answer["errors"]}
    assert told["denied"]["extensions"]["code"] == "FORBIDDEN"
    assert told["broken"]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "hunter2" not in str(answer)


async def test_a_database_that_has_no_time_is_no_bug(endpoint: GraphQLEndpoint[Caller]) -> None:
    """Clients may come again, and are not told what is behind it."""
    (error,) = (await ask(endpoint, "{ crowded }", headers()))["errors"]
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1000}
    assert "QueuePool" not in str(error)


ENTITIES = "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Thing { name } } }"


async def test_entities_are_resolved_in_one_batch_and_a_bad_one_nulls_itself_only(
    endpoint: GraphQLEndpoint[Caller], calls: Calls
) -> None:
    representations = [
        {"__typename": "Thing", "id": "1", "surprise": {"x": 1}},
        {"__typename": "Nothing", "id": "1"},
        {"__typename": "Thing", "id": "2"},
        "nonsense",
    ]
    answer = await ask(endpoint, ENTITIES, headers(), r=representations)
    assert answer["data"]["_entities"] == [{"__typename": "Thing", "name": "one"}, None, None, None]
    assert calls.sizes == [2]
    assert representations[0] == {"__typename": "Thing", "id": "1", "surprise": {"x": 1}}, "left as it was given"


async def test_too_many_representations_are_refused(endpoint: GraphQLEndpoint[Caller]) -> None:
    answer = await ask(endpoint, ENTITIES, headers(), r=[{"__typename": "Thing", "id": "1"}] * 1001)
    assert "at most 1000" in answer["errors"][0]["message"]


def test_an_entity_without_a_resolver_is_found_at_start() -> None:
    schema = strawberry.federation.Schema(query=Query, types=[Thing])
    with pytest.raises(ValueError, match="Thing"):
        resolve_entities(schema, {})
