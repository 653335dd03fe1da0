"""Reloading: what is new is tried before it is served, and what runs ends as it began."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import orjson
import pytest

from router.app import RouterApp
from router.errors import SourceError
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline import plan_cache
from router.pipeline.pipeline import Stream
from router.pipeline.request import GraphQLRequest
from router.settings import Limits, PersistedSettings, Rate, RateLimits, Settings
from tests.router.pipeline.client import call, data, post
from tests.router.pipeline.persisting import client, digest, manifest
from tests.router.pipeline.subgraphs import router, subgraphs, supergraph
from tests.support.waiting import eventually

ME = "query Me { me { id name } }"
LATEST = "query Latest { latest { body } }"
QUERY = "{me{id} products{upc reviews{body}}}"


def published(tmp_path: Path, **changes: Any) -> Settings:
    """Settings with a manifest for everybody."""
    file = manifest(tmp_path / "manifest.json", Me=ME, Latest=LATEST)
    return Settings(clients={"web": client(None, file)}, **changes)


def without_latest(app: RouterApp) -> str:
    return app.supergraph_sdl.replace("latest:", "newest:")


async def run_published(app: RouterApp, text: str) -> Any:
    body = orjson.dumps({"documentId": f"sha256:{digest(text)}"})
    return (await call(app, body=body, headers={"content-type": "application/json"})).json


def plans_made(app: RouterApp) -> float:
    return app.telemetry.registry.get_sample_value("router_planning_duration_seconds_count") or 0.0


async def test_no_request_fails_while_the_router_reloads() -> None:
    """Twenty reloads, of supergraph and of settings, under a stream of requests: every answer is whole."""
    app = router(subgraphs())
    whole = await data(app, QUERY)
    ending, answers = asyncio.Event(), 0

    async def ask() -> None:
        nonlocal answers
        while not ending.is_set():
            assert await data(app, QUERY) == whole
            answers += 1

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for number in range(20):
        await app.reload(app.supergraph_sdl + f"\n# {number}", Settings(limits=Limits(depth=10 + number)))
    ending.set()
    await asyncio.gather(*asking)
    assert answers > 20
    assert app.settings.limits.depth == 29
    assert b'router_reloads_total{outcome="accepted"} 20.0' in app.telemetry.exposition()


async def test_a_request_ends_in_the_edition_that_it_began_in() -> None:
    """While a subgraph keeps it waiting, its field goes: it is answered all the same, and the next one refused."""
    served = subgraphs()
    app = router(served)
    waiting, go = asyncio.Event(), asyncio.Event()

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        waiting.set()
        await go.wait()
        return await served["reviews"].execute(request)

    app._subgraphs._given["reviews"] = InProcessTransport(execute)
    await app.reload()
    request = asyncio.create_task(post(app, "{latest{body}}"))
    await waiting.wait()
    await app.reload(without_latest(app))
    go.set()
    assert (await request).json == {"data": {"latest": {"body": "Good"}}}
    refused = (await post(app, "{latest{body}}")).json
    assert refused["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_subscription_goes_on() -> None:
    """Its events come from the edition that it began in, after the reload as before."""
    app = router(subgraphs())
    stream = await app.graphql.pipeline.answer(GraphQLRequest("subscription{reviewAdded(count:3){body}}"), {})
    assert isinstance(stream, Stream)
    events = [orjson.loads(await anext(stream.payloads))]
    await app.reload(without_latest(app).replace("reviewAdded", "reviewWritten"))
    events += [orjson.loads(event) async for event in stream.payloads]
    assert [event["data"]["reviewAdded"]["body"] for event in events] == ["Event 0", "Event 1", "Event 2"]


@pytest.mark.parametrize(
    "settings",
    [
        {"clients": {"web": {"manifest": "missing.json"}}},
        {"clients": {"web": {"keys": ["no hash"]}}},
        {"rest": "missing.yaml"},
    ],
)
async def test_settings_that_cannot_be_used_change_nothing(settings: Any) -> None:
    app = router(subgraphs())
    before = app.settings
    with pytest.raises(SourceError):
        await app.reload(settings=Settings.model_validate(settings))
    assert app.settings is before
    assert await data(app, "{me{id}}") == {"me": {"id": "1"}}


async def test_a_supergraph_that_breaks_a_persisted_operation_is_refused(tmp_path: Path) -> None:
    """The reason names the operation; the old goes on, for the operation too. Without it, the same is served."""
    app = router(subgraphs(), published(tmp_path))
    with pytest.raises(SourceError, match=r"Latest: Cannot query field 'latest'"):
        await app.reload(without_latest(app))
    assert (await run_published(app, LATEST))["data"] == {"latest": {"body": "Good"}}
    control = router(subgraphs())
    await control.reload(without_latest(control))
    assert "newest" in control.supergraph_sdl


async def test_settings_that_break_a_persisted_operation_are_refused(tmp_path: Path) -> None:
    """A limit that it is over, for example; one that it is not over is taken."""
    app = router(subgraphs(), published(tmp_path))
    with pytest.raises(SourceError, match="Me: "):
        await app.reload(settings=published(tmp_path, limits=Limits(depth=1)))
    await app.reload(settings=published(tmp_path, limits=Limits(depth=2)))
    assert app.settings.limits.depth == 2


async def test_a_manifest_with_an_operation_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Files are read again; what they hold is tried like the rest."""
    app = router(subgraphs(), published(tmp_path))
    manifest(tmp_path / "manifest.json", Me=ME, Wrong="query Wrong { nothing }")
    with pytest.raises(SourceError, match="Wrong: "):
        await app.reload()
    manifest(tmp_path / "manifest.json", Me=ME, Mine="query Mine { me { name } }")
    await app.reload()
    assert (await run_published(app, "query Mine { me { name } }"))["data"] == {"me": {"name": "Ada"}}
    assert "errors" in await run_published(app, LATEST)


async def test_what_was_broken_before_stands_in_no_ones_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told of at the start, in the log, in the metrics and in the health; nobody is refused for it."""
    settings = published(tmp_path)
    manifest(tmp_path / "manifest.json", Me=ME, Wrong="query Wrong { nothing }")
    app = router(subgraphs(), settings)
    await app.warm_up()
    assert "Wrong: Cannot query field 'nothing'" in caplog.text
    assert b"router_persisted_operations_broken 1.0" in app.telemetry.exposition()
    assert orjson.loads(app.health.report())["persistedOperations"]["count"] == 2
    assert "Wrong" in orjson.loads(app.health.report())["persistedOperations"]["broken"][0]
    await app.reload(without_latest(app))
    assert "newest" in app.supergraph_sdl


async def test_an_operator_may_break_them_on_purpose(tmp_path: Path) -> None:
    app = router(subgraphs(), published(tmp_path, persisted=PersistedSettings(refuse_broken=False)))
    await app.reload(without_latest(app))
    assert "newest" in app.supergraph_sdl
    assert b"router_persisted_operations_broken 1.0" in app.telemetry.exposition()


async def test_plans_are_there_before_anybody_asks(tmp_path: Path) -> None:
    """After a reload, neither a persisted operation nor what was asked before is planned again while one waits."""
    app = router(subgraphs(), published(tmp_path))
    await data(app, QUERY)
    await app.reload(app.supergraph_sdl + "\n# new")
    made = plans_made(app)
    await run_published(app, ME)
    await data(app, QUERY)
    assert plans_made(app) == made
    await data(app, "{products{name}}")
    assert plans_made(app) == made + 1


async def test_the_hottest_plans_are_kept_and_no_others() -> None:
    """``warm_plans`` of them, by how often they were used."""
    app = router(subgraphs(), Settings(warm_plans=1))
    for query in ("{me{id}}", "{products{upc}}", "{products{upc}}", "{latest{body}}"):
        await data(app, query)
    await app.reload(app.supergraph_sdl + "\n# new")
    made = plans_made(app)
    await data(app, "{products{upc}}")
    assert plans_made(app) == made
    await data(app, "{me{id}}")
    assert plans_made(app) == made + 1


async def test_a_large_manifest_is_tried_whole_and_planned_as_far_as_there_is_room(tmp_path: Path) -> None:
    """Each operation once; those for all kinds of callers only if the cache can hold them."""
    bodies = {f"Q{number}": f"query Q{number} {{ me {{ id email }} secret }}" for number in range(6)}
    settings = Settings(clients={"web": client(None, manifest(tmp_path / "m.json", **bodies))}, plan_cache=8)
    app = router(subgraphs(), settings)
    await app.warm_up()
    assert plans_made(app) == 6
    roomy = router(subgraphs(), settings.model_copy(update={"plan_cache": 30}))
    await roomy.warm_up()
    assert plans_made(roomy) == 18


async def test_a_bug_that_one_operation_meets_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The start goes on, with the others planned; a reload is refused as for any other reason."""
    app = router(subgraphs(), published(tmp_path))
    whole = plan_cache.normalize

    def fails(document: Any, name: str | None, *rest: Any, **more: Any) -> Any:
        if name == "Latest":
            raise ZeroDivisionError
        return whole(document, name, *rest, **more)

    monkeypatch.setattr(plan_cache, "normalize", fails)
    await app.warm_up()
    broken = orjson.loads(app.health.report())["persistedOperations"]["broken"]
    assert broken == ["Latest: internal error: ZeroDivisionError"]
    assert plans_made(app) == 3
    monkeypatch.undo()
    await app.reload()
    monkeypatch.setattr(plan_cache, "normalize", fails)
    with pytest.raises(SourceError, match="Latest: internal error"):
        await app.reload(app.supergraph_sdl + "\n# new")


async def test_nothing_is_left_of_what_was_replaced() -> None:
    """Python looks for it when the last request may have ended, though it seldom looks by itself."""
    app = router(subgraphs(), Settings(request_timeout=0.01))
    await data(app, QUERY)
    type_ = app.graphql.pipeline.schema.query_type
    assert type_ is not None
    old = weakref.ref(type_)
    del type_
    gc.disable()
    try:
        await app.reload(app.supergraph_sdl + "\n# new")
        assert old() is not None
        await eventually(lambda: old() is None)
    finally:
        gc.enable()


async def test_a_reload_waits_for_the_start(tmp_path: Path) -> None:
    """What was broken at the start must be known, or it would be taken for the reload's fault."""
    manifest(tmp_path / "manifest.json", Wrong="query Wrong { nothing }")
    settings = Settings(clients={"web": client(None, tmp_path / "manifest.json")})
    app = router(subgraphs(), settings)
    warming = asyncio.create_task(app.warm_up())
    await asyncio.sleep(0)
    await app.reload(app.supergraph_sdl + "\n# new")
    assert warming.done()


async def test_buckets_go_on_and_are_new_where_their_settings_are() -> None:
    """A reload is no way around a rate limit."""
    limits = RateLimits(enabled=True, anonymous=Rate(per_second=0.001, burst=1))
    app = router(subgraphs(), Settings(rate_limits=limits))

    async def status() -> int:
        body = orjson.dumps({"query": "{me{id}}"})
        return (await call(app, body=body, headers={"content-type": "application/json"}, peer="192.0.2.1")).status

    assert [await status(), await status()] == [200, 429]
    await app.reload(settings=Settings(rate_limits=limits, limits=Limits(depth=9)))
    assert await status() == 429
    await app.reload(settings=Settings(rate_limits=RateLimits(enabled=False)))
    assert await status() == 200


async def test_sessions_that_have_ended_stay_so() -> None:
    app = router(subgraphs())
    app.ended_sessions.end("s1")
    await app.reload(settings=Settings(limits=Limits(depth=9)))
    assert app.graphql.pipeline._callers.ended_sessions is app.ended_sessions


async def test_settings_that_are_read_at_the_start_are_named(caplog: pytest.LogCaptureFixture) -> None:
    app = router(subgraphs())
    await app.reload(settings=Settings(internal_port=1))
    assert "internal_port has changed: that takes effect at the next start" in caplog.text


async def test_breakers_are_shown_as_they_are_and_of_subgraphs_that_are_there() -> None:
    """Settings that were refused change nothing of it, and a subgraph that is gone alarms nobody."""
    served = subgraphs()
    app = router(served)

    def shown() -> dict[str, float]:
        metrics = app.telemetry.registry.collect()
        samples = [one for metric in metrics for one in metric.samples if one.name == "router_subgraph_breaker_state"]
        return {one.labels["subgraph"]: one.value for one in samples if one.labels["state"] == "open"}

    assert shown() == {"accounts": 0, "catalog": 0, "reviews": 0}
    app.telemetry.breaker("reviews", "open")
    with pytest.raises(SourceError):
        await app.reload(settings=Settings(subgraph_timeout=9, rest=Path("missing.yaml")))
    assert shown() == {"accounts": 0, "catalog": 0, "reviews": 1}
    del served["reviews"]
    await app.reload(supergraph(served))
    assert shown() == {"accounts": 0, "catalog": 0}


async def test_a_refusal_shows_until_it_is_over() -> None:
    """In the health and as a metric: something wanted is not served."""
    app = router(subgraphs())
    app.refuse("because")
    assert orjson.loads(app.health.report())["supergraph"]["lastRefused"]["reason"] == "because"
    assert b"router_last_reload_accepted 0.0" in app.telemetry.exposition()
    app.keep()
    assert orjson.loads(app.health.report())["supergraph"]["lastRefused"] is None
    assert b"router_last_reload_accepted 1.0" in app.telemetry.exposition()
