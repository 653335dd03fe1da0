"""``@policy``: fulfilled by the token or by decision, enforced wherever a field is reached, before any fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from router.app import RouterApp
from router.errors import SourceError
from router.executor.transport import InProcessTransport
from router.pipeline.pipeline import Answer
from router.pipeline.policies import PolicyQuestion
from router.pipeline.request import GraphQLRequest
from router.settings import PolicySettings, Settings, TokenSettings
from tests.router.pipeline import subgraphs as parts
from tests.router.pipeline.client import Response, call, data, post
from tests.router.pipeline.subgraphs import Served, router, subgraphs
from tests.router.pipeline.test_auth import ED, TOKENS, Issuer, token
from tests.support.process import free_port

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

ACCOUNTS = """
interface Actor { id: ID! name: String }
type User implements Actor @key(fields: "id") { id: ID! name: String email: String @policy(policies: [["mail"]]) }
type Bot implements Actor @key(fields: "id") { id: ID! name: String @policy(policies: [["bots"]]) }
type Query {
  me: User actors: [Actor!]! secret: String! @policy(policies: [["admin"], ["root", "sudo"]])
}
type Mutation { rename(name: String!): User erase: Boolean @policy(policies: [["erase"]]) }
"""
REVIEWS = parts.REVIEWS.replace(
    "freight: Int @requires", 'freight: Int @policy(policies: [["freight"]]) @requires'
).replace("reviewAdded(count: Int!): Review", 'reviewAdded(count: Int!): Review @policy(policies: [["events"]])')

NAMES = '"@policy", "@requires"'


def served() -> dict[str, Served]:
    """The usual subgraphs, with policies in place of scopes."""
    found = subgraphs()
    for name, sdl in (("accounts", ACCOUNTS), ("reviews", REVIEWS)):
        one = found[name] = Served.__new__(Served)
        one.name, one.sdl, one.requests = name, parts.LINK.replace('"@requires"', NAMES) + sdl, []
        directive = "scalar P directive @policy(policies: [[P!]!]!) on FIELD_DEFINITION "
        one.schema = parts._executable(directive + sdl, parts.RESOLVERS[name])
        one.transport = InProcessTransport(one.execute, one.subscribe)
    return found


ASKED: list[PolicyQuestion] = []
GRANTED: set[str] = set()


async def decide(question: PolicyQuestion) -> Collection[str]:
    """What an operator would write; the tests say what it grants."""
    ASKED.append(question)
    return GRANTED


def decide_at_once(question: PolicyQuestion) -> Collection[str]:
    return [*question.policies, "one that nobody asked for"]


async def never(_: PolicyQuestion) -> Collection[str]:
    await asyncio.Event().wait()
    return ()


def fails(_: PolicyQuestion) -> Collection[str]:
    raise OSError("secret reason")


def a_word(_: PolicyQuestion) -> Any:
    return "admin"


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    ASKED.clear()
    GRANTED.clear()


def app(function: str | None = "decide", **more: Any) -> tuple[RouterApp, dict[str, Served]]:
    found = served()
    policies = PolicySettings(function=f"{__name__}:{function}" if function else None, **more)
    return router(found, Settings(tokens=TOKENS, policies=policies), key_source=Issuer(ED)), found


def codes(response: Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json.get("errors", [])]


ADA, BOB = {"email": "ada@example.org"}, {"email": "bob@example.org"}
PEOPLE, ALL = [{"name": "Ada"}, {"name": None}], [{"name": "Ada"}, {"name": "Robot"}]
WAYS: list[tuple[str, set[str], Any, Any]] = [
    ("{me{id email}}", {"mail"}, {"me": {"id": "1", "email": None}}, {"me": {"id": "1", **ADA}}),
    ("{me{...F}} fragment F on User {email}", {"mail"}, {"me": {"email": None}}, {"me": ADA}),
    ("{secret}", {"admin"}, None, {"secret": "42"}),
    ("{secret}", {"root", "sudo"}, None, {"secret": "42"}),
    ("{actors{name}}", {"bots"}, {"actors": PEOPLE}, {"actors": ALL}),
    ('{product(upc:"a"){freight}}', {"freight"}, {"product": {"freight": None}}, {"product": {"freight": 14}}),
    ("{latest{author{email}}}", {"mail"}, {"latest": {"author": {"email": None}}}, {"latest": {"author": BOB}}),
    ("mutation{erase}", {"erase"}, None, {"erase": True}),
]
"""Operation, what it takes, the data without and with it."""


@pytest.mark.parametrize(("query", "takes", "without", "granted"), WAYS)
@pytest.mark.parametrize("by", ["token", "decision"])
async def test_a_field_is_given_to_those_who_fulfil_its_policies(
    query: str, takes: set[str], without: Any, granted: Any, by: str
) -> None:
    """Through interfaces, fragments, entities, ``@requires``; by claim or by decision; nothing is fetched before."""
    served_by, found = app("decide" if by == "decision" else None)
    refused = await post(served_by, query, authorization=f"Bearer {token()}")
    assert refused.json.get("data") == without
    assert codes(refused) == ["FORBIDDEN"]
    fetched = "".join(request.query for one in found.values() for request in one.requests)
    assert not any(field in fetched for field in ("secret", "email", "freight", "erase"))
    GRANTED.update(takes)
    claims = {"policies": sorted(takes)} if by == "token" else {}
    assert await data(served_by, query, authorization=f"Bearer {token(**claims)}") == granted


async def test_half_of_what_is_needed_is_not_enough() -> None:
    served_by, _ = app()
    GRANTED.update(("root", "mail"))
    assert codes(await post(served_by, "{secret}", authorization=f"Bearer {token()}")) == ["FORBIDDEN"]


async def test_a_denied_mutation_runs_nothing() -> None:
    served_by, found = app()
    answer = await post(served_by, 'mutation{rename(name:"x"){id} erase}', authorization=f"Bearer {token()}")
    assert codes(answer) == ["FORBIDDEN"]
    assert found["accounts"].requests == []


async def test_a_subscription_is_refused_before_it_begins() -> None:
    served_by, found = app()
    request = GraphQLRequest("subscription{reviewAdded(count:1){body}}")
    assert isinstance(await served_by.graphql.pipeline.answer(request, {}), Answer)
    assert found["reviews"].requests == []
    GRANTED.add("events")
    assert not isinstance(await served_by.graphql.pipeline.answer(request, {}), Answer)


async def test_only_what_an_operation_meets_is_asked_for() -> None:
    """Nothing for what needs nothing; conditions count; what the token grants is not asked again."""
    served_by, _ = app()
    bearer = f"Bearer {token(sid='s', roles=['r'], scope='x', policies=['root'])}"
    await post(served_by, "{me{id}}", authorization=bearer)
    assert ASKED == []
    conditional = "query A($all: Boolean!) { me { id email @include(if: $all) } }"
    await post(served_by, conditional, {"all": False}, authorization=bearer)
    assert ASKED == []
    await post(served_by, conditional, {"all": True}, authorization=bearer, accept_language="ko", cookie="c")
    await post(served_by, "{secret}", authorization=bearer)
    first, second = ASKED
    assert (first.policies, second.policies) == ({"mail"}, {"admin", "sudo"})
    assert (first.subject, first.session, first.roles, first.scopes) == ("u1", "s", ("r",), {"x"})
    assert (first.client, first.operation, first.kind) == ("-", "A", "query")
    assert first.headers["accept-language"] == "ko"
    assert not {"authorization", "cookie"} & first.headers.keys()


async def test_whoever_decides_is_told_the_address_that_is_believed() -> None:
    """Not what the client wrote into the header."""
    found = served()
    settings = {"policies": {"function": f"{__name__}:decide"}, "forward_headers": ["x-forwarded-for"]}
    served_by = router(found, Settings.model_validate(settings))
    headers = {"content-type": "application/json", "x-forwarded-for": "10.0.0.1"}
    await call(served_by, body=orjson.dumps({"query": "{secret}"}), headers=headers, peer="192.0.2.1")
    assert ASKED[0].headers == {"x-forwarded-for": "192.0.2.1"}


async def test_strangers_may_fulfil_policies_too() -> None:
    """Whoever decides is asked about them; if it denies, they are told to sign in."""
    served_by, _ = app()
    assert codes(await post(served_by, "{secret}")) == ["UNAUTHENTICATED"]
    GRANTED.add("admin")
    assert await data(served_by, "{secret}") == {"secret": "42"}
    assert ASKED[0].subject is None


async def test_a_plain_function_will_do_and_what_was_not_asked_is_not_granted() -> None:
    served_by, _ = app("decide_at_once")
    assert await data(served_by, "{me{email}}") == {"me": {"email": "ada@example.org"}}


@pytest.mark.parametrize("function", ["fails", "never", "a_word"])
async def test_without_a_decision_the_request_is_refused(function: str, caplog: pytest.LogCaptureFixture) -> None:
    """503, whatever went wrong, and nothing of it is told; what needs no policy is answered."""
    served_by, found = app(function, timeout=0.05)
    refused = await post(served_by, "{secret}")
    assert (refused.status, codes(refused), refused.headers["retry-after"]) == (503, ["FORBIDDEN"], "1")
    assert b"secret reason" not in refused.body
    assert "policies could not be decided" in caplog.text
    assert found["accounts"].requests == []
    assert await data(served_by, "{me{id}}") == {"me": {"id": "1"}}


async def test_another_claim_may_list_them() -> None:
    found = served()
    settings = Settings(tokens=TokenSettings.model_validate({**TOKENS.model_dump(), "policies_claim": "may"}))
    served_by = router(found, settings, key_source=Issuer(ED))
    assert await data(served_by, "{secret}", authorization=f"Bearer {token(may='admin')}") == {"secret": "42"}
    assert codes(await post(served_by, "{secret}", authorization=f"Bearer {token(policies='admin')}")) == ["FORBIDDEN"]


@pytest.mark.parametrize(
    "function", ["nowhere.at.all:decide", "router.errors:nothing", "router.errors", "router:__doc__"]
)
def test_a_function_that_is_not_there_is_refused_at_the_start(function: str) -> None:
    with pytest.raises(SourceError, match="policies' function"):
        router(served(), Settings(policies=PolicySettings(function=function)))


@asynccontextmanager
async def service(answer: Any, status: int = 200) -> AsyncIterator[tuple[str, list[Any]]]:
    """A service that decides, and what it was asked."""
    asked: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(body=orjson.dumps(answer), status=status)

    web_app = web.Application()
    web_app.router.add_post("/decide", handle)
    runner = web.AppRunner(web_app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/decide", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("client", ["pyreqwest", "aiohttp"])
async def test_a_service_decides(client: Any) -> None:
    """It is sent the question as JSON."""
    async with service({"granted": ["admin", "other"]}) as (url, asked):
        policies = PolicySettings(url=url, timeout=20)  # busy machines are no failure
        settings = Settings(tokens=TOKENS, policies=policies, http_client=client, connect_timeout=10)
        served_by = router(served(), settings, key_source=Issuer(ED))
        assert await data(served_by, "{secret}", authorization=f"Bearer {token(scope='b a')}") == {"secret": "42"}
        assert await data(served_by, "{me{id}}") == {"me": {"id": "1"}}
        [question] = asked
        assert (question["policies"], question["scopes"]) == (["admin", "root", "sudo"], ["a", "b"])
        assert (question["subject"], question["kind"]) == ("u1", "query")
        await served_by.close()


@pytest.mark.parametrize(
    ("answer", "status"), [({"granted": ["admin"]}, 500), ({}, 200), ({"granted": "admin"}, 200), ("admin", 200)]
)
async def test_a_service_that_answers_otherwise_decides_nothing(answer: Any, status: int) -> None:
    async with service(answer, status) as (url, _):
        served_by = router(served(), Settings(policies=PolicySettings(url=url)))
        assert (await post(served_by, "{secret}")).status == 503
        await served_by.close()
    gone = router(served(), Settings(policies=PolicySettings(url=url)))
    assert (await post(gone, "{secret}")).status == 503
    await gone.close()
