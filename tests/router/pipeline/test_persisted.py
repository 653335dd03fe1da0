"""Persisted operations by id and by hash, safelists, and automatic persisted queries: on every way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from router.app import RouterApp
from router.errors import SourceError
from router.settings import PersistedSettings, Settings
from tests.router.pipeline.client import Response, call, post
from tests.router.pipeline.persisting import client, digest, manifest
from tests.router.pipeline.subgraphs import Served, router, subgraphs
from tests.router.pipeline.test_websocket import initialised

ME = "query Me { me { id } }"
NAMED = "query Named($upc: ID!) { product(upc: $upc) { name } }"
ADDED = "subscription Added { reviewAdded(count: 1) { body } }"
KEY = "partner-key"
FREE = "{ me { name } }"
RESPONSE_JSON = "application/graphql-response+json"


@pytest.fixture
def served() -> dict[str, Served]:
    return subgraphs()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A partner that may run its manifest only, a program that may run more, and a web front end without a key."""
    own = manifest(tmp_path / "partner.json", Me=ME, Named=NAMED, Added=ADDED)
    return Settings(
        clients={
            "partner": client(KEY, own, safelist=True),
            "program": client("program-key", manifest(tmp_path / "program.json", Own="query Own { me { name } }")),
            "web": client(None, manifest(tmp_path / "web.json", Web="query Web { latest { body } }")),
        }
    )


@pytest.fixture
def app(served: dict[str, Served], settings: Settings) -> RouterApp:
    return router(served, settings)


async def send(app: RouterApp, key: str | None = KEY, **members: Any) -> Response:
    """A POST of these members."""
    headers = {"content-type": "application/json", "accept": RESPONSE_JSON} | ({"x-api-key": key} if key else {})
    return await call(app, body=orjson.dumps(members), headers=headers)


def apq(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}


def code(response: Response) -> str:
    """The code of the only error of a request that was not executed."""
    assert "data" not in response.json, response.json
    (error,) = response.json["errors"]
    found: str = error["extensions"]["code"]
    return found


@pytest.mark.parametrize("prefix", ["", "sha256:"])
async def test_an_operation_runs_by_its_id(app: RouterApp, prefix: str) -> None:
    """With variables; the id may say which hash it is."""
    answer = await send(app, documentId=prefix + digest(NAMED), variables={"upc": "a"})
    assert answer.json == {"data": {"product": {"name": "Table"}}}


async def test_an_operation_runs_by_the_hash_of_the_apq_extension(app: RouterApp) -> None:
    """A manifest serves clients of automatic persisted queries without the first round trip."""
    assert (await send(app, extensions=apq(ME))).json == {"data": {"me": {"id": "1"}}}


@pytest.mark.parametrize(
    "query",
    [{"documentId": digest(ME)}, {"extensions": orjson.dumps(apq(ME)).decode()}],
    ids=["documentId", "extensions"],
)
async def test_get_names_operations_too(app: RouterApp, query: dict[str, str]) -> None:
    """GET with the id in the URL: what a CDN can cache."""
    headers = {"x-api-key": KEY, "apollo-require-preflight": "1"}
    assert (await call(app, "GET", query=query, headers=headers)).json == {"data": {"me": {"id": "1"}}}


async def test_event_streams_name_operations_too(app: RouterApp) -> None:
    """A subscription over server-sent events by its id."""
    body = orjson.dumps({"documentId": digest(ADDED)})
    headers = {"content-type": "application/json", "accept": "text/event-stream", "x-api-key": KEY}
    assert b"Event 0" in (await call(app, body=body, headers=headers)).body


async def test_sockets_are_held_to_the_safelist(app: RouterApp) -> None:
    """The key comes with connection_init; a persisted subscription runs, another document does not."""
    async with initialised(app, {"headers": {"X-API-Key": KEY}}) as socket:
        await socket.send(id="1", type="subscribe", payload={"documentId": digest(ADDED)})
        assert (await socket.receive())["payload"] == {"data": {"reviewAdded": {"body": "Event 0"}}}
        assert (await socket.receive())["type"] == "complete"
        await socket.send(id="2", type="subscribe", payload={"query": FREE})
        refused = await socket.receive()
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_ONLY"


async def test_a_safelisted_client_runs_its_manifest_and_nothing_else(
    app: RouterApp, served: dict[str, Served]
) -> None:
    """By text too, if the text is a manifest's; no subgraph hears of anything else."""
    assert (await send(app, query=ME)).json == {"data": {"me": {"id": "1"}}}
    for subgraph in served.values():
        subgraph.requests.clear()
    refused = await send(app, query=ME + " ")
    assert (refused.status, code(refused)) == (403, "PERSISTED_QUERY_ONLY")
    assert "manifest" in refused.json["errors"][0]["message"]
    assert code(await send(app, query=FREE, extensions=apq(FREE))) == "PERSISTED_QUERY_ONLY"
    assert code(await send(app, documentId=digest(FREE))) == "PERSISTED_QUERY_NOT_FOUND"
    assert code(await send(app, extensions=apq(FREE))) == "PERSISTED_QUERY_NOT_FOUND"
    assert not any(subgraph.requests for subgraph in served.values())


async def test_one_clients_manifest_is_not_anothers(app: RouterApp) -> None:
    """Without the key the partner's ids mean nothing, and the partner cannot use the front end's."""
    assert code(await send(app, None, documentId=digest(ME))) == "PERSISTED_QUERY_NOT_FOUND"
    assert code(await send(app, documentId=digest("query Web { latest { body } }"))) == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_manifest_without_keys_is_for_everybody_who_is_not_restricted(app: RouterApp) -> None:
    """The front end's operations, without a key and with the key of a client that may run anything."""
    web = digest("query Web { latest { body } }")
    for key in (None, "program-key"):
        assert (await send(app, key, documentId=web)).json == {"data": {"latest": {"body": "Good"}}}
        assert (await send(app, key, query=FREE)).json == {"data": {"me": {"name": "Ada"}}}


@pytest.mark.parametrize("key", ["partner-kez", "", digest(KEY)])
async def test_an_unknown_key_is_refused(app: RouterApp, key: str) -> None:
    """401; the hash of a key is no key."""
    refused = await call(
        app, body=orjson.dumps({"query": FREE}), headers={"content-type": "application/json", "x-api-key": key}
    )
    assert (refused.status, code(refused)) == (401, "UNAUTHENTICATED")


async def test_keys_do_not_reach_subgraphs(served: dict[str, Served], settings: Settings) -> None:
    """Whatever is configured to be forwarded."""
    forwarding = settings.model_copy(update={"forward_headers": ("x-api-key", "accept-language")})
    app = router(served, forwarding)
    body = orjson.dumps({"documentId": digest(ME)})
    headers = {"content-type": "application/json", "x-api-key": KEY, "accept-language": "ko"}
    await call(app, body=body, headers=headers)
    assert dict(served["accounts"].requests[0].headers) == {"accept-language": "ko"}


async def test_with_a_safelist_for_all_nobody_runs_free_documents(
    served: dict[str, Served], settings: Settings
) -> None:
    """Except in development."""
    app = router(served, settings.model_copy(update={"safelist": True}))
    for key in (None, "program-key"):
        assert code(await send(app, key, query=FREE)) == "PERSISTED_QUERY_ONLY"
    assert "data" in (await send(app, "program-key", query="query Own { me { name } }")).json
    developing = router(served, settings.model_copy(update={"safelist": True, "dev": True}))
    assert "data" in (await send(developing, None, query=FREE)).json


async def test_automatic_persisted_queries_are_registered_once(app: RouterApp) -> None:
    """Unknown hash: told so in the words clients wait for; with its text: kept; then the hash is enough."""
    first = await send(app, None, extensions=apq(FREE))
    assert (code(first), first.json["errors"][0]["message"]) == ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
    assert "data" in (await send(app, None, query=FREE, extensions=apq(FREE))).json
    assert (await send(app, None, extensions=apq(FREE))).json == {"data": {"me": {"name": "Ada"}}}


async def test_a_wrong_hash_registers_nothing(app: RouterApp) -> None:
    """Nobody can put a text under another text's hash, nor anything but the API's documents."""
    refused = await send(app, None, query=FREE, extensions=apq(ME))
    assert (refused.status, code(refused)) == (400, "BAD_REQUEST")
    assert code(await send(app, None, extensions=apq(ME))) == "PERSISTED_QUERY_NOT_FOUND"
    await send(app, None, query="{ nothing }", extensions=apq("{ nothing }"))
    assert code(await send(app, None, extensions=apq("{ nothing }"))) == "PERSISTED_QUERY_NOT_FOUND"


async def test_the_store_is_bounded(served: dict[str, Served]) -> None:
    """What was used least recently is forgotten."""
    app = router(served, Settings(persisted=PersistedSettings(size=2)))
    texts = ["{ me { id } }", "{ me { name } }", "{ latest { body } }"]
    for text in texts:
        await send(app, None, query=text, extensions=apq(text))
    assert code(await send(app, None, extensions=apq(texts[0]))) == "PERSISTED_QUERY_NOT_FOUND"
    assert "data" in (await send(app, None, extensions=apq(texts[2]))).json


async def test_automatic_persisted_queries_can_be_off(served: dict[str, Served]) -> None:
    """Clients are told to send texts, and texts with hashes still run."""
    app = router(served, Settings(persisted=PersistedSettings(automatic=False)))
    assert code(await send(app, None, extensions=apq(FREE))) == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert "data" in (await send(app, None, query=FREE, extensions=apq(FREE))).json
    assert code(await send(app, None, extensions=apq(FREE))) == "PERSISTED_QUERY_NOT_SUPPORTED"


@pytest.mark.parametrize(
    "entry", [1, {}, {"sha256Hash": 1}, {"sha256Hash": "abc"}, {"version": 2, "sha256Hash": digest(ME)}]
)
async def test_a_malformed_extension_is_refused(app: RouterApp, entry: Any) -> None:
    """Clearly, never with a server error."""
    refused = await send(app, None, extensions={"persistedQuery": entry})
    assert refused.status == 400
    assert code(refused) in ("BAD_REQUEST", "PERSISTED_QUERY_NOT_SUPPORTED")


async def test_mutations_by_id_are_not_for_get(served: dict[str, Served], tmp_path: Path) -> None:
    """The way the document was found does not matter."""
    rename = 'mutation Rename { rename(name: "x") { id } }'
    settings = Settings(clients={"web": client(None, manifest(tmp_path / "web.json", Rename=rename))})
    headers = {"apollo-require-preflight": "1"}
    refused = await call(router(served, settings), "GET", query={"documentId": digest(rename)}, headers=headers)
    assert refused.status == 405


def test_clients_that_cannot_be_meant_are_refused(served: dict[str, Served], tmp_path: Path) -> None:
    """At start, with what to do about it."""
    own = manifest(tmp_path / "own.json", Me=ME)
    plain = client(KEY, own).model_copy(update={"keys": client("x", None).keys})
    for clients, words in (
        ({"a": client(KEY, own), "b": client(KEY, own)}, "same API key"),
        ({"a": plain.model_validate({"keys": ["plain text"]})}, "SHA-256 hashes"),
        ({"a": client(KEY, tmp_path / "absent.json")}, "Cannot read the manifest"),
    ):
        with pytest.raises(SourceError, match=words):
            router(served, Settings(clients=clients))


async def test_documents_sent_as_text_still_run(app: RouterApp) -> None:
    """Without a key nothing has changed."""
    assert (await post(app, FREE)).json == {"data": {"me": {"name": "Ada"}}}
