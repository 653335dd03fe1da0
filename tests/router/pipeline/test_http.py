"""GraphQL over HTTP: methods, media types, status codes, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from graphql import get_introspection_query

from router.app import RouterApp
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.settings import Limits, Settings
from tests.router.pipeline.client import Response, call, data, post
from tests.router.pipeline.subgraphs import router, subgraphs

JSON = "application/json; charset=utf-8"
RESPONSE_JSON = "application/graphql-response+json; charset=utf-8"


@pytest.fixture
def app() -> RouterApp:
    """A router with default settings."""
    return router(subgraphs())


async def raw(app: RouterApp, body: bytes, **headers: str) -> Response:
    return await call(app, body=body, headers={"content-type": "application/json", **headers})


async def test_a_federated_query_is_answered_in_the_clients_order(app: RouterApp) -> None:
    """Three subgraphs, one answer: order, aliases and nulls as asked."""
    query = """query Q($first: Int!) {
      items: products { freight name reviews(first: $first) { author { name id } } __typename }
      me { id }
    }"""
    answer = (await post(app, query, {"first": 1})).body
    assert answer == orjson.dumps(
        {
            "data": {
                "items": [
                    {
                        "freight": 14,
                        "name": "Table",
                        "reviews": [{"author": {"name": "Bob", "id": "2"}}],
                        "__typename": "Product",
                    },
                    {"freight": 6, "name": "Chair", "reviews": [], "__typename": "Product"},
                    None,
                ],
                "me": {"id": "1"},
            }
        }
    )


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/graphql-response+json", RESPONSE_JSON),
        ("application/json;q=0.5, application/graphql-response+json", RESPONSE_JSON),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE_JSON),
        ("text/html, application/json", JSON),
    ],
)
async def test_the_media_type_is_the_one_accepted(app: RouterApp, accept: str | None, content_type: str) -> None:
    """The client's preference decides; without one, application/json."""
    response = await post(app, "{me{id}}", **({"accept": accept} if accept else {}))
    assert (response.status, response.headers["content-type"]) == (200, content_type)


async def test_a_media_type_that_cannot_be_given_is_refused(app: RouterApp) -> None:
    """406, with the error still in JSON."""
    response = await post(app, "{me{id}}", accept="text/css")
    assert response.status == 406
    assert response.json["errors"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A{me{id}} query B{me{id}}", "OPERATION_RESOLUTION_FAILURE"),
        ("query($upc:ID!){product(upc:$upc){name}}", "BAD_USER_INPUT"),
        ("{__schema{queryType{name}}}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_refused_operations(app: RouterApp, query: str, code: str) -> None:
    """400 with the response media type, 200 with plain JSON; no data in either."""
    for accept, status in (("application/graphql-response+json", 400), ("application/json", 200)):
        response = await post(app, query, accept=accept)
        assert response.status == status
        assert "data" not in response.json
        assert response.json["errors"][0]["extensions"]["code"] == code


async def test_validation_errors_tell_where_and_suggest_nothing(app: RouterApp) -> None:
    """Locations help the author; suggestions would give the schema away."""
    (error,) = (await post(app, "{\n  mee { id }\n}")).json["errors"]
    assert error["locations"] == [{"line": 2, "column": 3}]
    assert "Did you mean" not in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"1",
        b"null",
        b"{}",
        b"[]",
        b'[{"query":"{me{id}}"}]',
        b'{"query":1}',
        b'{"query":"{me{id}}","variables":[]}',
        b'{"query":"{me{id}}","variables":"{}"}',
        b'{"query":"{me{id}}","operationName":7}',
        b'{"query":"{me{id}}","extensions":[]}',
    ],
)
async def test_malformed_requests_are_400_with_any_media_type(app: RouterApp, body: bytes) -> None:
    """What is no GraphQL request is an HTTP error."""
    response = await raw(app, body)
    assert response.status == 400
    assert response.json["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_nulls_stand_for_members_left_out(app: RouterApp) -> None:
    """Null variables, operation name and extensions are as good as none."""
    body = b'{"query":"{me{id}}","variables":null,"operationName":null,"extensions":null}'
    assert (await raw(app, body)).json == {"data": {"me": {"id": "1"}}}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_bodies_that_need_no_preflight_are_refused(app: RouterApp, content_type: str) -> None:
    """Only JSON: a form on another site cannot send it."""
    response = await call(app, body=b'{"query":"{me{id}}"}', headers={"content-type": content_type})
    assert response.status == 415


async def test_get_answers_queries_only(app: RouterApp) -> None:
    """A query with variables in the URL is answered; a mutation is not run."""
    query = {"query": "query($u:ID!){product(upc:$u){name}}", "variables": '{"u":"a"}'}
    assert (await call(app, "GET", query=query)).json == {"data": {"product": {"name": "Table"}}}
    refused = await call(app, "GET", query={"query": 'mutation{rename(name:"x"){id}}'})
    assert refused.status == 405
    assert refused.headers["allow"] == "GET, POST"


async def test_other_methods_are_refused(app: RouterApp) -> None:
    """405 and what is allowed."""
    assert (await call(app, "PUT", body=b"{}")).status == 405


async def test_cross_site_gets_are_refused(app: RouterApp) -> None:
    """A page of another site cannot make a browser ask, unless it may set headers; the same site can."""
    query = {"query": "{me{id}}"}
    for headers, status in (
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example", "host": "shop.example"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://shop.example", "host": "shop.example"}, 200),
        ({"sec-fetch-site": "cross-site", "graphql-require-preflight": "1"}, 200),
    ):
        assert (await call(app, "GET", query=query, headers=headers)).status == status


async def test_cors_answers_allowed_origins_only() -> None:
    """The preflight and the answer name the origin, and only if it is listed."""
    app = router(subgraphs(), Settings(cors_origins=("https://shop.example",)))
    for origin, allowed in (("https://shop.example", True), ("https://evil.example", False)):
        preflight = await call(app, "OPTIONS", headers={"origin": origin})
        assert ("access-control-allow-methods" in preflight.headers) == allowed
        answer = await post(app, "{me{id}}", origin=origin)
        assert (answer.headers.get("access-control-allow-origin") == origin) == allowed


async def test_large_requests_are_refused(app: RouterApp) -> None:
    """413 for bodies, 431 for headers, 400 for documents."""
    assert (await raw(app, b" " * (256 * 1024 + 1))).status == 413
    assert (await raw(app, b"", **{"x-large": "x" * 40_000})).status == 431
    document = await post(app, "{me{id}}" + "#" * 70_000, accept="application/graphql-response+json")
    assert (document.status, document.json["errors"][0]["extensions"]["code"]) == (400, "LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("limits", "query"),
    [
        ({"depth": 3}, "{products{reviews{author{id}}}}"),
        ({"aliases": 1}, "{a:me{id} b:me{id}}"),
        ({"root_fields": 1}, "{me{id} latest{body}}"),
        ({"mutation_root_fields": 1}, 'mutation{a:rename(name:"a"){id} b:rename(name:"b"){id}}'),
        ({"fields_anonymous": 3}, "{me{...F} again:me{...F}} fragment F on User{id name}"),
        ({"same_key": 2}, "{me{id id id}}"),
        ({"directives": 1}, "{me{id @skip(if:false) name @skip(if:false)}}"),
        ({"directives_per_place": 1}, "{me{id @skip(if:false) @include(if:true)}}"),
        ({"operations": 1}, "query A{me{id}} query B{me{id}}"),
        ({"variables": 1}, "query A($a:Int,$b:Int){products{reviews(first:$a){body} x:reviews(first:$b){body}}}"),
        ({"name_length": 5}, "{abcdef:me{id}}"),
    ],
)
async def test_each_limit_refuses_what_is_one_over(limits: dict[str, int], query: str) -> None:
    """The operation is refused at the limit, and passes when the limit is one higher."""
    body = orjson.dumps({"query": query, "operationName": "A" if "query A" in query else None})
    refused = (await raw(router(subgraphs(), Settings(limits=Limits(**limits))), body)).json
    assert refused["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    ((name, value),) = limits.items()
    higher = Limits(**{name: value + (2 if name == "fields_anonymous" else 1)})
    if name == "fields_anonymous":
        higher = Limits(fields_anonymous=6)
    assert "errors" not in (await raw(router(subgraphs(), Settings(limits=higher)), body)).json


async def test_doubling_fragments_are_refused_quickly(app: RouterApp) -> None:
    """A document of fragments that double one another is counted without being expanded."""
    fragments = " ".join(f"fragment F{n} on User{{a{n}:reviews{{author{{...F{n + 1}}}}}}}" for n in range(30))
    bomb = f"{{me{{...F0 ...F0}}}} {fragments} fragment F30 on User{{id}}"
    async with asyncio.timeout(5):
        answer = await post(app, bomb)
    assert answer.json["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_variables_are_coerced_before_subgraphs_see_them() -> None:
    """Defaults are filled in, bad values are refused and nothing is fetched."""
    served = subgraphs()
    app = router(served)
    query = 'query($f: Filter = {text: "x"}) { products(filter: $f) { upc } }'
    await data(app, query)
    assert served["catalog"].requests[-1].variables == {"f": {"text": "x"}}
    await data(app, query, {"f": {"sizes": "SMALL", "first": 2.0}})
    assert served["catalog"].requests[-1].variables == {"f": {"sizes": ["SMALL"], "first": 2}}
    count = len(served["catalog"].requests)
    for bad in ({"sizes": ["HIDDEN"]}, {"first": None}, {"nope": 1}, {"text": 1}, 3):
        refused = (await post(app, query, {"f": bad})).json
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert len(served["catalog"].requests) == count


async def test_conditions_are_part_of_the_plan() -> None:
    """The same document with another value of a condition fetches something else."""
    served = subgraphs()
    app = router(served)
    query = "query($with: Boolean = false) { me { id reviews @include(if: $with) { body } } }"
    assert await data(app, query) == {"me": {"id": "1"}}
    assert served["reviews"].requests == []
    assert (await data(app, query, {"with": True}))["me"]["reviews"] == [{"body": "Fine"}]


async def test_hidden_enum_values_are_null_with_an_error(app: RouterApp) -> None:
    """A value that the API schema hides does not reach the client."""
    answer = (await post(app, "{products{size}}")).json
    assert answer["data"] == {"products": [{"size": "SMALL"}, {"size": None}, None]}
    assert [error["path"] for error in answer["errors"]] == [["products", 1, "size"]]


async def test_a_composite_field_emptied_by_skip_is_an_empty_object(app: RouterApp) -> None:
    """CollectFields finds nothing below it, so it is an object without members."""
    assert await data(app, "{me{id @skip(if:true)} products{reviews{body @skip(if:true)}}}") == {
        "me": {},
        "products": [{"reviews": [{}, {}]}, {"reviews": []}, None],
    }


async def test_mutations_run_and_errors_have_the_trace_id(app: RouterApp) -> None:
    """A mutation reaches its subgraph; an error carries the request's trace id."""
    assert await data(app, 'mutation{rename(name:"Zoe"){name}}') == {"rename": {"name": "Zoe"}}
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await post(app, "{products{size}}", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert answer.json["errors"][0]["extensions"]["code"] == "INVALID_SUBGRAPH_VALUE"
    refused = await post(app, "{", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert refused.json["errors"][0]["extensions"]["traceId"] == trace


async def test_introspection_is_for_development() -> None:
    """With --dev the API schema is answered locally, in the client's order; hidden parts are not in it."""
    served = subgraphs()
    app = router(served, Settings(dev=True))
    answer = await data(app, '{a:__typename me{id} __type(name:"Size"){enumValues{name}} z:__typename}')
    assert list(answer) == ["a", "me", "__type", "z"]
    assert answer["__type"] == {"enumValues": [{"name": "SMALL"}, {"name": "LARGE"}]}
    count = sum(len(subgraph.requests) for subgraph in served.values())
    assert (await data(app, "{__schema{queryType{name}}}"))["__schema"] == {"queryType": {"name": "Query"}}
    assert sum(len(subgraph.requests) for subgraph in served.values()) == count


async def test_explorers_can_introspect_within_the_limits() -> None:
    """The standard introspection query is deep and long, and still within the defaults."""
    schema = await data(router(subgraphs(), Settings(dev=True)), get_introspection_query(input_value_deprecation=True))
    names = {directive["name"] for directive in schema["__schema"]["directives"]}
    assert "defer" in names
    assert "key" not in names


async def test_a_request_that_takes_too_long_is_answered_with_what_is_there() -> None:
    """The whole request has a limit of its own: what has not come by then is null, with the reason."""
    served = subgraphs()

    async def forever(request: SubgraphRequest) -> SubgraphResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")

    served["accounts"].transport = InProcessTransport(forever)
    response = await post(router(served, Settings(request_timeout=0.05)), "{me{id} latest{body}}")
    assert response.json["data"]["me"] is None
    assert response.json["data"]["latest"] is not None
    assert [error["extensions"]["code"] for error in response.json["errors"]] == ["SUBGRAPH_TIMEOUT"]


async def test_the_plan_is_shown_in_development_on_request() -> None:
    """``extensions.plan`` says what the answer cost; without the header or without --dev there is none."""
    query = "{products{name reviews{body}}}"
    dev = router(subgraphs(), Settings(dev=True))
    plan = (await post(dev, query, router_plan="1")).json["extensions"]["plan"]
    assert (plan["fetches"], plan["rounds"], plan["subgraphs"]) == (2, 2, ["catalog", "reviews"])
    assert "extensions" not in (await post(dev, query)).json
    assert "extensions" not in (await post(router(subgraphs()), query, router_plan="1")).json


async def test_client_headers_reach_subgraphs_only_if_listed() -> None:
    """Forwarded headers go, identity headers and everything else do not."""
    served = subgraphs()
    app = router(served, Settings(forward_headers=("x-tenant", "x-user-id", "authorization")))
    await data(app, "{me{id}}", x_tenant="t", x_user_id="admin", router_claims="forged", cookie="c")
    assert served["accounts"].requests[0].headers == {"x-tenant": "t"}


async def test_health(app: RouterApp) -> None:
    """Ready until it is closed; alive as long as it answers."""
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await call(app, "GET", path)).status == 200
    await app.close()
    statuses = [(await call(app, "GET", path)).status for path in ("/health", "/health/live", "/health/ready")]
    assert statuses == [503, 200, 503]


async def test_the_explorer_is_for_development_and_reads_nothing_outside_its_folder(tmp_path: Any) -> None:
    """The built page and its assets, a hint without them; no page without --dev."""
    dist = tmp_path / "dist"
    dist.mkdir()
    (tmp_path / "secret.js").write_text("secret")
    app = router(subgraphs(), Settings(dev=True, explorer_assets=dist))
    assert b"npm run build" in (await call(app, "GET", "/")).body
    (dist / "index.html").write_text("<p>explorer</p>")
    (dist / "app.js").write_text("1")
    assert (await call(app, "GET", "/")).body == b"<p>explorer</p>"
    assert (await call(app, "GET", "/graphql", headers={"accept": "text/html"})).body == b"<p>explorer</p>"
    assert (await call(app, "GET", "/explorer/app.js")).body == b"1"
    assert (await call(app, "GET", "/explorer/../secret.js")).status == 404
    assert (await call(router(subgraphs()), "GET", "/")).status == 404


async def test_a_new_supergraph_is_served_and_a_bad_one_refused(app: RouterApp) -> None:
    """Reload replaces the graph at once; what cannot be served leaves the old one in place."""
    from router.errors import SupergraphError

    with pytest.raises(SupergraphError):
        await app.reload("type Query { a: Int }")
    assert await data(app, "{me{id}}") == {"me": {"id": "1"}}
    await app.reload(app.supergraph_sdl.replace("latest:", "newest:"))
    assert (await post(app, "{latest{body}}")).json["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
