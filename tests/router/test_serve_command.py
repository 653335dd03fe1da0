"""The commands as a user runs them: processes of their own, files that change under them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.router.pipeline.persisting import manifest
from tests.router.pipeline.subgraphs import subgraphs
from tests.router.pipeline.test_full_stack import running_subgraphs
from tests.router.pipeline.test_tls import shown_name
from tests.support.certificates import Authority, Files
from tests.support.process import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SUPERGRAPH = ROOT / "schema" / "supergraph.graphql"
FIELDS = '{__type(name:"Query"){fields{name}}}'
DEADLINE = 40
ACCEPTED = 'router_reloads_total{outcome="accepted"}'


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``python -m router`` with these arguments, ended with the block."""
    pipe = asyncio.subprocess.PIPE
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", *arguments, stdout=pipe, stderr=pipe, cwd=ROOT, env=environment
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.communicate()


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A served graph, once it is healthy, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with process("serve", "--dev", "--port", str(port), *arguments) as started:
        url = f"http://127.0.0.1:{port}"
        while not await healthy(url):
            assert started.returncode is None
            await asyncio.sleep(0.05)
        yield started, url


async def healthy(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def ask(url: str, query: str) -> Any:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/graphql", json={"query": query}) as answer:
        return await answer.json(content_type=None)


async def fields(url: str) -> list[str]:
    """What the served graph's Query has."""
    return [field["name"] for field in (await ask(url, FIELDS))["data"]["__type"]["fields"]]


async def test_a_certificate_is_shown_and_renewed_on_sighup(tmp_path: Path) -> None:
    """As the command runs it, on its own event loop."""
    authority, live = Authority(tmp_path), Files(tmp_path / "live.crt", tmp_path / "live.key")
    (tmp_path / "a.graphql").write_text("type Query { one: Int }")
    config = tmp_path / "router.yaml"
    written = {
        "subgraphs": {"a": {"routing_url": "http://127.0.0.1:1/", "schema": {"file": "a.graphql"}}},
        "tls": {"certificate": str(live.certificate), "key": str(live.key)},
        "watch": 0,
        "internal_port": None,
    }
    config.write_text(yaml.safe_dump(written))
    port = free_port()

    def renew(name: str) -> None:
        signed = authority.signed(name)
        shutil.copy(signed.certificate, live.certificate)
        shutil.copy(signed.key, live.key)

    async def shown() -> str | None:
        try:
            return await shown_name(port, authority)
        except OSError:
            return None

    renew("first")
    async with process("serve", "--port", str(port), "--config", str(config)) as started:
        await eventually(lambda: is_equal(shown, "first"))
        url = f"https://localhost:{port}"
        connector = aiohttp.TCPConnector(ssl=authority.trusted())
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.post(f"{url}/graphql", json={"query": "{__typename}"}) as answer:
                assert await answer.json() == {"data": {"__typename": "Query"}}
                assert answer.headers["strict-transport-security"] == "max-age=31536000"
            async with session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]) as socket_:
                await socket_.send_json({"type": "connection_init"})
                assert (await socket_.receive_json())["type"] == "connection_ack"
        renew("second")
        assert await shown() == "first", "nothing is watched"
        started.send_signal(signal.SIGHUP)
        await eventually(lambda: is_equal(shown, "second"))


async def is_equal(ask: Callable[[], Awaitable[str | None]], wanted: str) -> bool:
    return await ask() == wanted


@pytest.mark.parametrize("broken", ["no key", "a key that is not there"])
async def test_half_a_certificate_is_refused_before_anything_is_served(tmp_path: Path, broken: str) -> None:
    signed = Authority(tmp_path).signed("router")
    (tmp_path / "a.graphql").write_text("type Query { one: Int }")
    tls = {"certificate": str(signed.certificate)} | ({"key": "/no/such.key"} if broken != "no key" else {})
    config = tmp_path / "router.yaml"
    subgraph = {"routing_url": "http://127.0.0.1:1/", "schema": {"file": "a.graphql"}}
    config.write_text(yaml.safe_dump({"subgraphs": {"a": subgraph}, "tls": tls}))
    async with process("serve", "--port", str(free_port()), "--config", str(config)) as started:
        assert await started.wait() == 1
        assert started.stderr is not None
        told = (await started.stderr.read()).decode()
        assert ("`tls.key` is not set" if broken == "no key" else "Cannot read /no/such.key") in told
        assert "Traceback" not in told


async def until_fields(url: str, wanted: list[str]) -> None:
    """Wait for a reload. The process's own deadline ends it."""
    while await fields(url) != wanted:  # noqa: ASYNC110 - another process has no event for it
        await asyncio.sleep(0.05)


@pytest.mark.skipif(not SUPERGRAPH.exists(), reason="the shop's supergraph is not composed")
async def test_the_shops_supergraph_is_served_for_development() -> None:
    """Introspection answers, the explorer's page is there, and a subgraph that is down costs its fields only."""
    async with serving("--supergraph", str(SUPERGRAPH)) as (_, url):
        assert "__typename" in (await ask(url, "{__typename}"))["data"]
        assert len(await fields(url)) > 10
        async with aiohttp.ClientSession() as session, session.get(url) as page:
            assert (page.status, page.content_type) == (200, "text/html")


async def test_files_are_followed_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    """Without --supergraph the configured files are composed, anew when one changes; a bad one changes nothing."""
    schema = tmp_path / "a.graphql"
    schema.write_text("type Query { one: Int }")
    config = tmp_path / "router.yaml"
    config.write_text("subgraphs: {a: {routing_url: 'http://127.0.0.1:1/', schema: {file: a.graphql}}}")
    async with serving("--config", str(config)) as (started, url):
        assert await fields(url) == ["one"]
        schema.write_text("type Query { one: Int two: Int }")
        await until_fields(url, ["one", "two"])
        schema.write_text("type Query { one: Nope }")
        assert started.stderr is not None
        while b"cannot be served" not in (line := await started.stderr.readline()):
            assert line
        assert await fields(url) == ["one", "two"]
        schema.write_text("type Query { three: Int }")
        await until_fields(url, ["three"])


async def test_on_sighup_everything_is_looked_at(tmp_path: Path) -> None:
    """Settings, manifests and subgraphs; what would break a persisted operation is refused, and told."""
    schema, config = tmp_path / "a.graphql", tmp_path / "router.yaml"
    published = manifest(tmp_path / "manifest.json", One="query One { one }")
    written: dict[str, Any] = {
        "subgraphs": {"a": {"routing_url": "http://127.0.0.1:1/", "schema": {"file": "a.graphql"}}},
        "clients": {"web": {"manifest": str(published)}},
        "watch": 0,
        "internal_port": None,
    }
    schema.write_text("type Query { one: Int }")
    config.write_text(yaml.safe_dump(written))
    async with serving("--config", str(config)) as (started, url):
        schema.write_text("type Query { one: Int two: Int }")
        started.send_signal(signal.SIGHUP)
        await until_fields(url, ["one", "two"])
        schema.write_text("type Query { two: Int }")
        started.send_signal(signal.SIGHUP)
        assert started.stderr is not None
        while b"One: Cannot query field" not in (line := await started.stderr.readline()):
            assert line
        assert await fields(url) == ["one", "two"]
        manifest(published, Two="query Two { two }")
        config.write_text(yaml.safe_dump({**written, "limits": {"aliases": 1}}))
        started.send_signal(signal.SIGHUP)
        await until_fields(url, ["two"])
        answer = await ask(url, "{a:__typename b:__typename}")
        assert answer["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_twenty_reloads_of_a_process_cost_no_request(tmp_path: Path) -> None:
    """Requests over kept connections while settings change again and again; a socket from before is served after."""
    served, internal = subgraphs(), free_port()
    async with running_subgraphs(served) as urls:
        entries = {name: {"routing_url": url, "schema": {"file": f"{name}.graphql"}} for name, url in urls.items()}
        for name, one in served.items():
            (tmp_path / f"{name}.graphql").write_text(one.sdl)
        config = tmp_path / "router.yaml"
        rates = {"enabled": False}
        written = {"subgraphs": entries, "watch": 0, "internal_port": internal, "rate_limits": rates}
        config.write_text(yaml.safe_dump(written))
        query = "{me{id name} products{upc reviews{body}}}"
        ending, statuses = asyncio.Event(), list[int]()
        async with serving("--config", str(config)) as (started, url), aiohttp.ClientSession() as session:

            async def asking() -> None:
                while not ending.is_set():
                    async with session.post(f"{url}/graphql", json={"query": query}) as answer:
                        statuses.append(answer.status)
                        assert "errors" not in await answer.json()

            async def accepted() -> float:
                async with session.get(f"http://127.0.0.1:{internal}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                return next(float(line.split()[1]) for line in lines if line.startswith(ACCEPTED))

            socket = await session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"])
            await socket.send_json({"type": "connection_init"})
            assert (await socket.receive_json())["type"] == "connection_ack"
            clients = [asyncio.create_task(asking()) for _ in range(3)]
            for number in range(1, 21):
                config.write_text(yaml.safe_dump({**written, "limits": {"depth": 10 + number}}))
                started.send_signal(signal.SIGHUP)
                while await accepted() < number:  # noqa: ASYNC110 - another process has no event for it
                    await asyncio.sleep(0.01)
            ending.set()
            await asyncio.gather(*clients)
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{me{id}}"}})
            assert (await socket.receive_json())["payload"] == {"data": {"me": {"id": "1"}}}
            await socket.close()
        assert len(statuses) > 20
        assert set(statuses) == {200}


async def test_what_cannot_be_composed_is_not_served(tmp_path: Path) -> None:
    """At start there is nothing older to keep: exit 1 with the reason."""
    (tmp_path / "a.graphql").write_text("type Query { one: Nope }")
    config = tmp_path / "router.yaml"
    config.write_text("subgraphs: {a: {routing_url: 'http://a/', schema: {file: a.graphql}}}")
    async with process("serve", "--config", str(config)) as started:
        _, errors = await started.communicate()
    assert started.returncode == 1
    assert b"INVALID_GRAPHQL" in errors


async def test_running_subgraphs_are_composed(tmp_path: Path) -> None:
    """``compose --config`` with ``subgraph_url`` asks each subgraph for its schema."""
    async with running_subgraphs(subgraphs()) as urls:
        entries = [f"{name}: {{schema: {{subgraph_url: '{url}'}}}}" for name, url in urls.items()]
        config = tmp_path / "supergraph.yaml"
        config.write_text(f"subgraphs: {{{', '.join(entries)}}}")
        async with process("compose", "--config", str(config)) as started:
            found, errors = await started.communicate()
        assert started.returncode == 0, errors
        for name, url in urls.items():
            assert f'@join__graph(name: "{name}", url: "{url}")' in found.decode()
