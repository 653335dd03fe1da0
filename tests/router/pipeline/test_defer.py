"""``@defer`` from the client's request to the last payload (GraphQL incremental delivery, ``deferSpec=20220824``)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from router.errors import RequestErrorCode, SubgraphError
from router.executor.transport import SubgraphRequest, SubgraphResponse
from router.pipeline.pipeline import Stream
from router.pipeline.request import GraphQLRequest
from tests.router.executor.support import Answer
from tests.router.pipeline.client import post
from tests.router.pipeline.told import deferred, sent, told
from tests.router.planner.split.incremental import merged

PEOPLE = """
type Query { me: Person people: [Person] nobody: Person }
type Mutation { rename(name: String!): Person }
type Person @key(fields: "id") { id: ID! name: String home: Home }
type Home { city: String street: String! }
"""
REVIEWS = """
type Person @key(fields: "id") { id: ID! score: Int! reviews: [Review] }
type Review @key(fields: "id") { id: ID! body: String author: Person }
"""
LIKES = 'type Review @key(fields: "id") { id: ID! likes: Int }'
SDL = {"people": PEOPLE, "reviews": REVIEWS, "likes": LIKES}


def person(number: int) -> dict[str, Any]:
    return {
        "__typename": "Person",
        "id": str(number),
        "name": f"P{number}",
        "home": {"city": "Seoul", "street": "Jong-ro"},
    }


def answer_people(request: SubgraphRequest) -> dict[str, Any]:
    if request.variables and "representations" in request.variables:
        return {"_entities": [person(int(r["id"])) for r in sent(request)]}
    return {
        "me": person(1),
        "mine": person(1),
        "people": [person(1), None, person(2)],
        "rename": person(1),
        "nobody": None,
    }


def answer_reviews(request: SubgraphRequest) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for r in sent(request):
        number = int(r["id"])
        reviews = [
            {"id": f"{number}{i}", "body": f"B{number}{i}", "author": {"id": str(number)}} for i in range(number)
        ]
        found.append({"score": number * 10, "reviews": reviews, "rs": reviews})
    return {"_entities": found}


def answer_likes(request: SubgraphRequest) -> dict[str, Any]:
    return {"_entities": [{"likes": int(r["id"])} for r in sent(request)]}


ANSWERS: dict[str, Answer] = {"people": answer_people, "reviews": answer_reviews, "likes": answer_likes}


def fail(_: SubgraphRequest) -> Any:
    raise SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "too slow")


async def test_parts_inside_lists_have_a_payload_for_each_object() -> None:
    """Null items have none; indices count them."""
    app, _ = told(SDL, ANSWERS)
    first, second = await deferred(app, '{people{id ...@defer(label:"s"){score}}}')
    assert first == {"data": {"people": [{"id": "1"}, None, {"id": "2"}]}, "hasNext": True}
    assert second == {
        "incremental": [
            {"data": {"score": 10}, "path": ["people", 0], "label": "s"},
            {"data": {"score": 20}, "path": ["people", 2], "label": "s"},
        ],
        "hasNext": False,
    }


async def test_nested_parts_follow_the_part_they_stand_in() -> None:
    """Reviews come with the outer part, their likes, from a third subgraph, with the inner one."""
    query = '{me{id ...@defer(label:"outer"){reviews{body ...@defer(label:"inner"){likes}}}}}'
    app, subgraphs = told(SDL, ANSWERS)
    found = await deferred(app, query)
    labels = [part["label"] for payload in found[1:] for part in payload["incremental"]]
    assert labels == ["outer", "inner"]
    assert merged(found) == (await post(app, query)).json
    assert merged(found)["data"] == {"me": {"id": "1", "reviews": [{"body": "B10", "likes": 10}]}}
    assert all(len(subgraph.requests) == 2 for subgraph in subgraphs.values())


async def test_several_parts_do_not_wait_for_one_another() -> None:
    """The first part that is there is sent, whatever its place in the document."""
    held = asyncio.Event()
    app, subgraphs = told(SDL, ANSWERS)
    transport = subgraphs["reviews"].transport
    execute = transport._execute

    async def slow(request: SubgraphRequest) -> SubgraphResponse:
        if "score" in request.query:
            await held.wait()
        return await execute(request)

    transport._execute = slow
    query = '{a:me{id ...@defer(label:"slow"){score}} me{id ...@defer(label:"fast"){name}}}'
    subgraphs["people"]._answer = lambda request: (
        answer_people(request) | ({"a": person(1)} if "_entities" not in request.query else {})
    )
    stream = await app.graphql.pipeline.answer(GraphQLRequest(query), {})
    assert isinstance(stream, Stream)
    async with asyncio.timeout(5):
        seen = [orjson.loads(await anext(stream.payloads)) for _ in range(2)]
        held.set()
        seen += [orjson.loads(payload) async for payload in stream.payloads]
    assert [part["label"] for payload in seen[1:] for part in payload["incremental"]] == ["fast", "slow"]


@pytest.mark.parametrize(("value", "count"), [(True, 2), (False, 1), (None, 2)])
async def test_a_variable_decides_whether_anything_is_deferred(value: bool | None, count: int) -> None:
    """``if: $later`` is looked at for every request; left out, it has its default."""
    app, _ = told(SDL, ANSWERS)
    variables = {} if value is None else {"later": value}
    response = await post(
        app,
        "query($later:Boolean=true){me{id ...@defer(if:$later){score}}}",
        variables,
        accept="multipart/mixed, application/json",
    )
    assert response.body.count(b'"hasNext"') == (count if count > 1 else 0)
    assert b'"score":10' in response.body


async def test_a_client_that_takes_no_parts_gets_all_at_once() -> None:
    """Without multipart in Accept the same document is answered whole."""
    app, _ = told(SDL, ANSWERS)
    assert (await post(app, "{me{id ...@defer{score}}}")).json == {"data": {"me": {"id": "1", "score": 10}}}


async def test_what_needs_no_fetch_is_not_deferred() -> None:
    """A type name, a null above the part, and introspection: nothing is lost, nothing waits."""
    app, _ = told(SDL, ANSWERS)
    response = await post(app, "{me{id ...@defer{__typename}}}", accept="multipart/mixed, application/json")
    assert response.json == {"data": {"me": {"id": "1", "__typename": "Person"}}}
    assert await deferred(app, "{nobody{id ...@defer{score}}}") == [
        {"data": {"nobody": None}, "hasNext": True},
        {"hasNext": False},
    ]


async def test_a_mutation_defers_what_follows_it() -> None:
    """Its first payload tells that it has happened."""
    app, _ = told(SDL, ANSWERS)
    found = await deferred(app, 'mutation{rename(name:"x"){id ...@defer{score}}}')
    assert found[0] == {"data": {"rename": {"id": "1"}}, "hasNext": True}
    assert merged(found) == {"data": {"rename": {"id": "1", "score": 10}}}


async def test_errors_have_their_path_from_the_root() -> None:
    """Aliases and indices as the client knows them; the error is in the payload of its part."""
    error = {"message": "gone", "path": ["_entities", 0, "rs", 0, "body"]}
    told_so: dict[str, Answer] = {
        "reviews": lambda request: SubgraphResponse({"_entities": [{"rs": [{"id": "1", "body": None}]}]}, [error])
    }
    app, _ = told(SDL, ANSWERS | told_so)
    first, second = await deferred(app, "{mine:me{id ...@defer{rs:reviews{body}}}}")
    assert "errors" not in first
    [part] = second["incremental"]
    [told_of] = part.pop("errors")
    assert part == {"data": {"rs": [{"body": None}]}, "path": ["mine"]}
    assert told_of.pop("extensions").items() >= {"code": "SUBGRAPH_ERROR", "service": "reviews"}.items()
    assert told_of == {"message": "gone", "path": ["mine", "rs", 0, "body"]}


async def test_errors_in_lists_go_with_their_own_object() -> None:
    """Of two objects one fails: only its payload has the error."""

    def second_fails(request: SubgraphRequest) -> SubgraphResponse:
        errors = [{"message": "gone", "path": ["_entities", 1, "reviews"]}]
        return SubgraphResponse({"_entities": [{"reviews": []}, {"reviews": None}]}, errors)

    app, _ = told(SDL, ANSWERS | {"reviews": second_fails})
    _, second = await deferred(app, "{people{id ...@defer{reviews{body}}}}")
    one, two = second["incremental"]
    assert one == {"data": {"reviews": []}, "path": ["people", 0]}
    assert two["data"] == {"reviews": None}
    assert [error["path"] for error in two["errors"]] == [["people", 2, "reviews"]]


async def test_a_failed_fetch_costs_its_part_only() -> None:
    """The first payload is whole; the part is null where it may be, and says why."""
    app, _ = told(SDL, ANSWERS | {"reviews": fail})
    first, second = await deferred(app, "{me{name ...@defer{reviews{body}}}}")
    assert first == {"data": {"me": {"name": "P1"}}, "hasNext": True}
    (part,) = second["incremental"]
    assert part["data"] == {"reviews": None}
    assert [(e["path"], e["extensions"]["code"]) for e in part["errors"]] == [(["me"], "SUBGRAPH_TIMEOUT")]


async def test_a_null_that_may_not_be_ends_at_its_part() -> None:
    """A non-null field that is null makes the part's data null, not the object that it would be added to."""
    app, _ = told(SDL, ANSWERS | {"reviews": lambda request: {"_entities": [{"score": None}]}})
    first, second = await deferred(app, "{me{name ...@defer{score}}}")
    assert first["data"] == {"me": {"name": "P1"}}
    (part,) = second["incremental"]
    assert part["data"] is None
    assert [error["path"] for error in part["errors"]] == [["me", "score"]]


async def test_an_error_of_a_field_met_early_goes_with_its_part() -> None:
    """Objects without a key cannot be asked for again: their deferred fields come with the first fetch."""
    error = {"message": "no street", "path": ["me", "home", "street"]}

    def without_street(request: SubgraphRequest) -> SubgraphResponse:
        return SubgraphResponse({"me": person(1) | {"home": {"city": "Seoul", "street": None}}}, [error])

    app, _ = told(SDL, ANSWERS | {"people": without_street})
    first, second = await deferred(app, "{me{home{city ...@defer{street}}}}")
    assert first == {"data": {"me": {"home": {"city": "Seoul"}}}, "hasNext": True}
    (part,) = second["incremental"]
    assert (part["data"], part["path"]) == (None, ["me", "home"])
    assert [error["message"] for error in part["errors"]] == ["no street"]


async def test_nothing_is_added_to_what_became_null() -> None:
    """Where the first payload has a null in place of an object, its parts are not sent."""

    def without_id(request: SubgraphRequest) -> dict[str, Any]:
        if "_entities" in request.query:
            return answer_people(request)
        return {"people": [person(1) | {"home": {"street": None}}, person(2)]}

    app, _ = told(SDL, ANSWERS | {"people": without_id})
    first, second = await deferred(app, "{people{home{street ...@defer{city}}}}")
    assert first["data"] == {"people": [{"home": None}, {"home": {"street": "Jong-ro"}}]}
    assert [part["path"] for part in second["incremental"]] == [["people", 1, "home"]]


async def test_leaving_early_stops_the_parts() -> None:
    """A client that goes after the first payload ends the fetches that it no longer waits for."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: SubgraphRequest) -> SubgraphResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    app, subgraphs = told(SDL, ANSWERS)
    subgraphs["reviews"].transport._execute = endless
    stream = await app.graphql.pipeline.answer(GraphQLRequest("{me{id ...@defer{score}}}"), {})
    assert isinstance(stream, Stream)
    async with asyncio.timeout(5):
        assert orjson.loads(await asyncio.create_task(anext(stream.payloads)))["hasNext"]
        await begun.wait()
        await stream.payloads.aclose()
        await ended.wait()


async def test_defer_is_refused_in_subscriptions() -> None:
    """By validation, or when a variable turns out true; with ``if: false`` it is nothing."""
    sdl = SDL | {"people": PEOPLE + "type Subscription { joined: Person }"}
    app, subgraphs = told(sdl, ANSWERS | {"people": lambda _: [{"joined": person(1)}]})
    stream = "text/event-stream, application/graphql-response+json"
    plain = await post(app, "subscription{joined{id ...@defer{score}}}", accept=stream)
    assert plain.json["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    chosen = "subscription($later:Boolean!){joined{id ...@defer(if:$later){score}}}"
    refused = await post(app, chosen, {"later": True}, accept=stream)
    assert (plain.status, refused.status) == (400, 400)
    assert "@defer" in refused.json["errors"][0]["message"]
    assert subgraphs["people"].requests == []
    taken = await post(app, chosen, {"later": False}, accept=stream)
    assert b'{"data":{"joined":{"id":"1","score":10}}}' in taken.body
