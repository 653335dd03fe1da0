"""Running plans: fetches in order, entities in batches, partial answers."""

from __future__ import annotations

from typing import Any

from router.errors import RequestErrorCode, SubgraphError
from router.executor.transport import SubgraphRequest, SubgraphResponse
from tests.router.executor.support import PLAN, Subgraph, run

BOOKS = [{"__typename": "Product", "upc": str(n), "name": f"Book {n}"} for n in (1, 2, 1)]


def products(items: list[Any]) -> Subgraph:
    return Subgraph(lambda _: {"products": [dict(item) if item else item for item in items]})


def rate(request: SubgraphRequest) -> dict[str, Any]:
    assert request.variables is not None
    return {"_entities": [{"rating": int(r["upc"]) * 10} for r in request.variables["representations"]]}


async def test_entities_are_fetched_once_and_merged_everywhere() -> None:
    """Equal representations are sent once; each object gets the answer; the client's names are used."""
    reviews = Subgraph(rate)
    answer = await run(PLAN, products=products(BOOKS), reviews=reviews)
    assert answer == {
        "data": {
            "products": [
                {"title": "Book 1", "rating": 10},
                {"title": "Book 2", "rating": 20},
                {"title": "Book 1", "rating": 10},
            ]
        }
    }
    assert reviews.requests[0].variables == {
        "representations": [{"__typename": "Product", "upc": "1"}, {"__typename": "Product", "upc": "2"}]
    }


async def test_nothing_is_asked_when_there_are_no_entities() -> None:
    """Null items and objects without their key send no representation; without any, no request is made."""
    reviews = Subgraph(rate)
    items = [None, {"__typename": "Product", "upc": None, "name": "No key"}]
    answer = await run(PLAN, products=products(items), reviews=reviews)
    assert answer == {"data": {"products": [None, {"title": "No key", "rating": None}]}}
    assert reviews.requests == []


async def test_an_unknown_entity_is_null_and_the_others_are_not() -> None:
    """Null in the list of entities leaves that object's fields null."""
    reviews = Subgraph(lambda _: {"_entities": [None, {"rating": 5}]})
    answer = await run(PLAN, products=products(BOOKS[:2]), reviews=reviews)
    assert [product["rating"] for product in answer["data"]["products"]] == [None, 5]
    assert "errors" not in answer


async def test_entity_errors_get_the_paths_of_every_target() -> None:
    """An error below one representation is reported at each place that it came from, with code and service."""
    error = {"message": "no rating", "path": ["_entities", 0, "rating"], "extensions": {"code": "GONE", "sql": "x"}}
    reviews = Subgraph(lambda _: SubgraphResponse({"_entities": [{"rating": None}, {"rating": 5}]}, [error]))
    answer = await run(PLAN, products=products(BOOKS), reviews=reviews)
    assert [product["rating"] for product in answer["data"]["products"]] == [None, 5, None]
    assert answer["errors"] == [
        {
            "message": "no rating",
            "path": ["products", index, "rating"],
            "extensions": {"code": "GONE", "service": "reviews"},
        }
        for index in (0, 2)
    ]


async def test_a_failing_subgraph_costs_its_own_fields_only() -> None:
    """The rest of the answer is given, with one error for the fetch."""

    def fail(_: SubgraphRequest) -> None:
        raise SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "too slow")

    answer = await run(PLAN, products=products(BOOKS[:1]), reviews=Subgraph(fail))
    assert answer["data"] == {"products": [{"title": "Book 1", "rating": None}]}
    assert answer["errors"] == [
        {
            "message": "too slow",
            "path": ["products"],
            "extensions": {"code": "SUBGRAPH_TIMEOUT", "service": "reviews"},
        }
    ]


async def test_a_transport_with_a_bug_is_an_error_of_its_fields() -> None:
    """Whatever a transport raises, the client learns no exception text."""

    def fail(_: SubgraphRequest) -> None:
        raise ZeroDivisionError("secret")

    answer = await run(PLAN, products=products(BOOKS[:1]), reviews=Subgraph(fail))
    assert answer["errors"][0]["extensions"] == {"code": "SUBGRAPH_ERROR", "service": "reviews"}
    assert "secret" not in str(answer)


async def test_an_unconfigured_subgraph_is_an_error() -> None:
    """A plan may name a subgraph for which there is no transport."""
    answer = await run(PLAN, products=products(BOOKS[:1]))
    assert answer["errors"][0]["extensions"]["code"] == "SUBGRAPH_UNREACHABLE"
