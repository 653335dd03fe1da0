"""Every limit crossed by one, with POST and with GET: refused as the client's mistake, and the next one answered."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from router.app import RouterApp
from router.settings import Limits, Settings
from tests.router.pipeline.client import Response, call
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.pipeline.test_auth import ED, TOKENS, Issuer, token

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
ACCEPT = {"accept": "application/graphql-response+json"}
OVERLAPPING = "query($a:Int,$b:Int){products{reviews(first:$a){body} other:reviews(first:$b){body}}}"

AT_THE_LIMIT: dict[str, tuple[int, str]] = {
    "document_bytes": (8, "{me{id}}"),
    "tokens": (6, "{me{id}}"),
    "comments": (1, "#\n{me{id}}"),
    "depth": (3, "{me{reviews{body}}}"),
    "aliases": (1, "{a:me{id}}"),
    "root_fields": (1, "{me{id}}"),
    "fields_anonymous": (2, "{me{id}}"),
    "fields_signed_in": (2, "{me{id}}"),
    "same_key": (1, "{me{id}}"),
    "directives": (1, "{me{id @skip(if:false)}}"),
    "directives_per_place": (1, "{me{id @skip(if:false)}}"),
    "operations": (1, "query A{me{id}}"),
    "name_length": (4, "{name:me{id}}"),
    "variables": (1, "query($a:Int){products{reviews(first:$a){body}}}"),
}
OVER: dict[str, str] = {
    "document_bytes": "{me {id}}",
    "tokens": "{me{id name}}",
    "comments": "#\n#\n{me{id}}",
    "depth": "{me{reviews{author{id}}}}",
    "aliases": "{a:me{b:id}}",
    "root_fields": "{me{id} latest{body}}",
    "fields_anonymous": "{me{...F}} fragment F on User{id name}",
    "fields_signed_in": "{me{...F}} fragment F on User{id name}",
    "same_key": "{...on Query{me{id}} ...F} fragment F on Query{me{id}}",
    "directives": "{me{id @skip(if:false) name @skip(if:false)}}",
    "directives_per_place": "{me{id @skip(if:false) @include(if:true)}}",
    "operations": "query A{me{id}} query B{me{id}}",
    "name_length": "{named:me{id}}",
    "variables": OVERLAPPING,
}
TESTED_BELOW = {"body_bytes", "header_bytes", "headers", "mutation_root_fields", "representations", "validation_errors"}
TESTED_ELSEWHERE = {"single_root_fields"}  # with the cost of operations


def limited(**limits: int) -> RouterApp:
    """A router with these limits and the other defaults, that accepts tokens."""
    return router(subgraphs(), Settings(limits=Limits(**limits), tokens=TOKENS), key_source=Issuer(ED))


async def send(app: RouterApp, method: str, query: str, **headers: str) -> Response:
    """An operation, in the body or in the URL; of several operations the first is meant."""
    request = {"query": query} | ({"operationName": "A"} if "query A" in query else {})
    if method == "GET":
        return await call(app, "GET", query=request, headers=ACCEPT | headers)
    return await call(app, body=orjson.dumps(request), headers=ACCEPT | headers | {"content-type": "application/json"})


async def still_answers(app: RouterApp) -> bool:
    """Whether a small request is answered."""
    return (await call(app, "GET", query={"query": "{me{id}}"})).body == b'{"data":{"me":{"id":"1"}}}'


def code(response: Response) -> Any:
    return response.json["errors"][0]["extensions"]["code"]


def test_no_limit_is_left_out() -> None:
    """A limit that is added to the settings needs a test here."""
    assert set(AT_THE_LIMIT) | TESTED_BELOW | TESTED_ELSEWHERE == set(Limits.model_fields)
    assert set(AT_THE_LIMIT) == set(OVER)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("limit", AT_THE_LIMIT)
async def test_an_operation_may_reach_a_limit_and_not_pass_it(limit: str, method: str) -> None:
    """What is at the limit is answered, what is one over is a 400 that says so."""
    allowed, reaching = AT_THE_LIMIT[limit]
    headers = {"authorization": f"Bearer {token()}"} if limit == "fields_signed_in" else {}
    lower = {"fields_anonymous": 1} if limit == "fields_signed_in" else {}
    app = limited(**{limit: allowed}, **lower)
    answered = await send(app, method, reaching, **headers)
    assert (answered.status, answered.json.get("errors")) == (200, None)
    refused = await send(app, method, OVER[limit], **headers)
    assert (refused.status, code(refused)) == (400, "LIMIT_EXCEEDED")
    assert (await send(app, method, reaching, **headers)).status == 200


async def test_mutations_have_a_limit_of_their_own() -> None:
    """One root field passes, the second does not, and neither of them is run."""
    served = subgraphs()
    app = router(served, Settings(limits=Limits(mutation_root_fields=1)))
    assert (await send(app, "POST", 'mutation{rename(name:"a"){id}}')).status == 200
    count = len(served["accounts"].requests)
    refused = await send(app, "POST", 'mutation{rename(name:"a"){id} b:rename(name:"b"){id}}')
    assert (refused.status, code(refused)) == (400, "LIMIT_EXCEEDED")
    assert len(served["accounts"].requests) == count


async def test_bodies_and_urls_have_a_limit() -> None:
    """413 for a body and 414 for a URL that is one byte longer."""
    app = limited(body_bytes=100)
    start = b'{"query":"{me{id}}"'
    for length, status in ((100, 200), (101, 413)):
        body = start + b" " * (length - len(start) - 1) + b"}"
        assert (await call(app, body=body, headers={"content-type": "application/json"})).status == status
    for length, status in ((100, 200), (101, 414)):
        query = {"query": "{me{id}}", "x": "x" * (length - len("query=%7Bme%7Bid%7D%7D&x="))}
        assert (await call(app, "GET", query=query)).status == status
    assert await still_answers(app)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("limits", [{"headers": 3}, {"header_bytes": 100}])
async def test_headers_have_limits(limits: dict[str, int], method: str) -> None:
    """431 for one header, or one byte, too many."""
    app = limited(**limits)
    sent = ACCEPT | ({"content-type": "application/json"} if method == "POST" else {})
    size = sum(len(name) + len(value) for name, value in sent.items())
    fits = {f"x{n}": "" for n in range(3 - len(sent))} if "headers" in limits else {"x": "x" * (99 - size)}
    assert (await send(app, method, "{me{id}}", **fits)).status == 200
    over = fits | ({"y": ""} if "headers" in limits else {"x": fits["x"] + "x"})
    refused = await send(app, method, "{me{id}}", **over)
    assert (refused.status, code(refused)) == (431, "LIMIT_EXCEEDED")
    assert await still_answers(app)


async def test_representations_are_split_and_nothing_is_lost() -> None:
    """More entities than one request may ask for are asked for in several."""
    served = subgraphs()
    app = router(served, Settings(limits=Limits(representations=1)))
    answer = (await send(app, "POST", "{products{reviews{body}}}")).json
    assert answer["data"]["products"] == [{"reviews": [{"body": "Good"}, {"body": "Fine"}]}, {"reviews": []}, None]
    asked = [(request.variables or {})["representations"] for request in served["reviews"].requests]
    assert [len(representations) for representations in asked] == [1, 1]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_only_so_many_validation_errors_are_reported(method: str) -> None:
    """A document that is wrong everywhere does not make a long answer."""
    app = limited(validation_errors=2)
    refused = await send(app, method, "{" + " ".join(f"x{n}" for n in range(50)) + "}")
    assert refused.status == 400
    assert len(refused.json["errors"]) == 2
    assert await still_answers(app)
