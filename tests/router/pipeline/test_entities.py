"""Entity fetches through the whole router: many, missing, null, wrong; and the order of root fields."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.errors import RequestErrorCode, SubgraphError
from router.executor.transport import SubgraphRequest, SubgraphResponse
from router.settings import Limits, Settings
from tests.router.executor.support import Answer
from tests.router.pipeline.client import post
from tests.router.pipeline.told import sent, told

SDL = {
    "items": 'type Query { items: [Item] one: Item } type Item @key(fields: "id") { id: ID! title: String }',
    "stock": 'type Item @key(fields: "id") { id: ID! left: Int sure: Int! }',
}
QUERY = "{list:items{id amount:left}}"


def items(count: int) -> Answer:
    return lambda _: {"list": [{"__typename": "Item", "id": str(n), "title": f"T{n}"} for n in range(count)]}


def stock(request: SubgraphRequest) -> dict[str, Any]:
    return {"_entities": [{"amount": int(r["id"]) * 2} for r in sent(request)]}


async def test_too_many_representations_are_sent_in_several_requests() -> None:
    """No request has more than the limit; every object gets its own answer."""
    app, subgraphs = told(SDL, {"items": items(2_500), "stock": stock})
    answer = (await post(app, QUERY)).json
    assert [len(sent(request)) for request in subgraphs["stock"].requests] == [1_000, 1_000, 500]
    assert answer == {"data": {"list": [{"id": str(n), "amount": n * 2} for n in range(2_500)]}}


async def test_of_several_requests_one_may_fail() -> None:
    """Its objects are null there, with errors that count the whole list; the others are answered."""

    def second_fails(request: SubgraphRequest) -> Any:
        if sent(request)[0]["id"] == "2":
            raise SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "too slow")
        errors = [{"message": "none", "path": ["_entities", 0, "amount"]}] if sent(request)[0]["id"] == "4" else None
        return SubgraphResponse(stock(request), errors)

    settings = Settings(limits=Limits(representations=2))
    app, subgraphs = told(SDL, {"items": items(5), "stock": second_fails}, settings)
    answer = (await post(app, QUERY)).json
    assert len(subgraphs["stock"].requests) == 3
    assert [item["amount"] for item in answer["data"]["list"]] == [0, 2, None, None, 8]
    assert {(tuple(error["path"]), error["message"]) for error in answer["errors"]} == {
        (("list",), "too slow"),
        (("list", 4, "amount"), "none"),
    }


@pytest.mark.parametrize(
    "entities",
    [[], [{"amount": 1}], [{"amount": 1}] * 3, None, {}, "no list", 7, {"0": {"amount": 1}}],
    ids=str,
)
async def test_entities_of_wrong_number_or_type_are_one_error(entities: Any) -> None:
    """Nobody can tell which answer is whose: none is taken."""
    app, _ = told(SDL, {"items": items(2), "stock": lambda _: {"_entities": entities}})
    answer = (await post(app, QUERY)).json
    assert answer["data"] == {"list": [{"id": "0", "amount": None}, {"id": "1", "amount": None}]}
    (error,) = answer["errors"]
    assert error["path"] == ["list"]
    assert error["extensions"].pop("traceId")
    assert error["extensions"] == {"code": "SUBGRAPH_MALFORMED_RESPONSE", "service": "stock"}


async def test_null_and_missing_and_nonsense_entities() -> None:
    """An unknown entity, one without the field and one that is no object: null there, the next one is right."""
    entities = [None, {}, 5, {"amount": None}, {"amount": 4}]
    app, _ = told(SDL, {"items": items(5), "stock": lambda _: {"_entities": entities}})
    answer = (await post(app, QUERY)).json
    assert [item["amount"] for item in answer["data"]["list"]] == [None, None, None, None, 4]


async def test_an_unknown_entity_in_a_non_null_position_moves_the_null_up() -> None:
    """The object is null, not the list; the error names the place in the client's words."""
    app, _ = told(SDL, {"items": items(2), "stock": lambda _: {"_entities": [None, {"s": 1}]}})
    answer = (await post(app, "{list:items{s:sure}}")).json
    assert answer["data"] == {"list": [None, {"s": 1}]}
    assert [error["path"] for error in answer["errors"]] == [["list", 0, "s"]]


async def test_null_objects_are_not_asked_for() -> None:
    """Null items of the list keep their place; equal objects are asked for once."""
    found = [None, {"__typename": "Item", "id": "3"}, None, {"__typename": "Item", "id": "3"}]
    app, subgraphs = told(SDL, {"items": lambda _: {"list": found}, "stock": stock})
    answer = (await post(app, QUERY)).json
    assert answer == {"data": {"list": [None, {"id": "3", "amount": 6}, None, {"id": "3", "amount": 6}]}}
    assert [len(sent(request)) for request in subgraphs["stock"].requests] == [1]


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (SubgraphResponse(None, [{"message": "down"}]), ["list"]),
        (SubgraphResponse({"_entities": [None]}, [{"message": "down", "path": ["_entities"]}]), ["list"]),
        (SubgraphResponse({"_entities": [None]}, [{"message": "down", "path": ["_entities", 0]}]), ["list", 0]),
        (SubgraphResponse({"_entities": [None]}, [{"message": "down", "path": ["_entities", 9, "x"]}]), ["list"]),
        (SubgraphResponse({"_entities": [None]}, [{"message": "down", "path": "odd"}]), ["list"]),
    ],
)
async def test_errors_of_whole_fetches_point_to_where_they_lead(answer: SubgraphResponse, path: list[Any]) -> None:
    """A path that says which entity leads to it; any other to what the fetch was for, above its first list."""
    app, _ = told(SDL, {"items": items(1), "stock": lambda _: answer})
    found = (await post(app, QUERY)).json
    assert found["data"] == {"list": [{"id": "0", "amount": None}]}
    assert [(error["path"], error["message"]) for error in found["errors"]] == [(path, "down")]


async def test_a_failed_root_fetch_has_no_path() -> None:
    """All its fields are null; there is no single place to name."""

    def fail(_: SubgraphRequest) -> Any:
        raise SubgraphError(RequestErrorCode.SUBGRAPH_HTTP_ERROR, "status 500")

    app, _ = told(SDL, {"items": fail, "stock": stock})
    answer = (await post(app, "{list:items{id} one{id}}")).json
    assert answer["data"] == {"list": None, "one": None}
    assert [error.get("path") for error in answer["errors"]] == [None]


ROOTS = {
    "a": "type Query { a: Int } type Mutation { a1: Int a2: Int }",
    "b": "type Query { b: Int } type Mutation { b1: Int }",
}


async def test_root_fields_of_two_subgraphs_run_at_once() -> None:
    """Each is answered only when the other has been asked too: in series this would never end."""
    both = asyncio.Barrier(2)
    app, subgraphs = told(ROOTS, {"a": lambda _: {}, "b": lambda _: {}})

    def meeting(name: str) -> Any:
        async def execute(_: SubgraphRequest) -> SubgraphResponse:
            await both.wait()
            return SubgraphResponse({name: 1})

        return execute

    for name, subgraph in subgraphs.items():
        subgraph.transport._execute = meeting(name)
    async with asyncio.timeout(5):
        assert (await post(app, "{a b}")).json == {"data": {"a": 1, "b": 1}}


async def test_mutations_run_in_the_clients_order() -> None:
    """One is asked for when the one before has been answered, and also when that one failed."""
    log: list[str] = []
    app, subgraphs = told(ROOTS, {"a": lambda _: {}, "b": lambda _: {}})

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        log.append(f"asked {request.query}")
        await asyncio.sleep(0)
        log.append("answered")
        if "b1" in request.query:
            return SubgraphResponse(None, [{"message": "no", "path": ["b1"]}])
        return SubgraphResponse({"a1": 1} if "a1" in request.query else {"a2": 2})

    for subgraph in subgraphs.values():
        subgraph.transport._execute = execute
    answer = (await post(app, "mutation{a1 b1 a2}")).json
    assert answer["data"] == {"a1": 1, "b1": None, "a2": 2}
    assert [error["path"] for error in answer["errors"]] == [["b1"]]
    asked = [f"asked mutation {{ {name} }}" for name in ("a1", "b1", "a2")]
    assert log == [asked[0], "answered", asked[1], "answered", asked[2], "answered"]
