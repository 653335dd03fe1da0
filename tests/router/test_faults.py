"""A subgraph process that dies, stops, is slow or talks nonsense, behind a router with real connections."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from router.app import RouterApp, create_app
from router.executor.http_client import open_client
from router.executor.http_transport import HttpTransport
from router.executor.resilience.guarded import GuardedTransport, Guards
from router.executor.transport import SubgraphRequest
from router.settings import ResilienceSettings, Settings, SubgraphSettings
from tests.router.pipeline.client import call
from tests.router.pipeline.subgraphs import subgraphs, supergraph
from tests.support.process import accepts, free_port
from tests.support.waiting import eventually

TIMEOUT = 0.3
QUERY = "{me{id} latest{body}}"
LATEST = {"body": "Good"}

SERVER = """
import asyncio, sys
ANSWERS = {
    "well": (0, b'{"data":{"me":{"id":"1"}}}'), "slow": (5, b"{}"), "garbage": (0, b"\\xff<html>"), "cut": (0, None),
}
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            size = next(int(l.split(b":")[1]) for l in head.split(b"\\r\\n") if l.lower().startswith(b"content-length"))
            await reader.readexactly(size)
            mode = next((l.split(b":")[1].strip().decode() for l in head.split(b"\\r\\n")
                         if l.lower().startswith(b"x-request-id")), "well")
            delay, body = ANSWERS[mode]
            await asyncio.sleep(delay)
            if body is None:
                writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 100\\r\\n\\r\\n{")
                writer.write_eof()
                return
            head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
            writer.write(head % len(body) + body)
    except (asyncio.IncompleteReadError, ConnectionError, StopIteration):
        pass
    finally:
        writer.close()
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""


class Accounts:
    """The subgraph ``accounts`` in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-c", SERVER, str(self.port)]
        self.process = subprocess.Popen(command)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
async def shop() -> AsyncIterator[tuple[RouterApp, Accounts]]:
    accounts = Accounts()
    served = subgraphs()
    settings = Settings(
        subgraph_timeout=TIMEOUT,
        connect_timeout=0.1,
        subgraphs={"accounts": SubgraphSettings(url=f"http://127.0.0.1:{accounts.port}")},
        resilience=ResilienceSettings(breaker_calls=4, breaker_open=0.3, breaker_window=60),
    )
    transports = {name: each.transport for name, each in served.items() if name != "accounts"}
    app = create_app(supergraph(served), settings, transports)
    await eventually(lambda: accepts(accounts.port))
    yield app, accounts
    await app.close()
    accounts.end()


async def ask(app: RouterApp, mode: str = "well") -> tuple[Any, list[str], float]:
    """Data, error codes, seconds."""
    started = time.monotonic()
    headers = {"content-type": "application/json", "x-request-id": mode}
    answer = (await call(app, body=orjson.dumps({"query": QUERY}), headers=headers)).json
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
    assert all(error["extensions"]["service"] == "accounts" for error in answer.get("errors", ()))
    return answer["data"], codes, time.monotonic() - started


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("slow", "SUBGRAPH_TIMEOUT"),
        ("garbage", "SUBGRAPH_MALFORMED_RESPONSE"),
        ("cut", "SUBGRAPH_UNREACHABLE"),
    ],
)
async def test_a_bad_answer_costs_its_own_fields(shop: tuple[RouterApp, Accounts], mode: str, code: str) -> None:
    """The other subgraph's field is there, the error says which service, and the next good answer is used."""
    app, _ = shop
    data, codes, seconds = await ask(app, mode)
    assert (data, codes) == ({"me": None, "latest": LATEST}, [code])
    assert seconds < TIMEOUT + 2
    assert await _well(app)


@pytest.mark.parametrize("fault", ["stopped", "killed"])
async def test_a_dead_subgraph_opens_the_breaker_and_its_return_closes_it(
    shop: tuple[RouterApp, Accounts], fault: str
) -> None:
    """Its own fields only, within the deadline; then at once, without asking; and back when it is back."""
    app, accounts = shop
    assert await _well(app)
    if fault == "stopped":
        os.kill(accounts.process.pid, signal.SIGSTOP)
    else:
        accounts.end()
    seen: list[str] = []
    while "SUBGRAPH_UNAVAILABLE" not in seen:
        data, codes, seconds = await ask(app)
        assert data == {"me": None, "latest": LATEST}
        assert seconds < TIMEOUT + 2
        seen += codes
        assert len(seen) < 20
    assert seen[0] == ("SUBGRAPH_TIMEOUT" if fault == "stopped" else "SUBGRAPH_UNREACHABLE")
    assert _breaker(app, "open")
    report = orjson.loads(app.health.report())
    assert (report["status"], report["degraded"]) == ("UP", ["accounts"])
    assert report["subgraphs"] == {"accounts": "open", "catalog": "closed", "reviews": "closed"}
    assert (await call(app, "GET", "/health/ready")).status == 200
    if fault == "stopped":
        os.kill(accounts.process.pid, signal.SIGCONT)
    else:
        accounts.start()
        await eventually(lambda: accepts(accounts.port))
    deadline = time.monotonic() + 10
    while not _breaker(app, "closed"):
        await ask(app)
        assert time.monotonic() < deadline
    assert await _well(app)
    assert orjson.loads(app.health.report())["degraded"] == []


async def _well(app: RouterApp) -> bool:
    return (await ask(app))[:2] == ({"me": {"id": "1"}, "latest": LATEST}, [])


def _breaker(app: RouterApp, state: str) -> bool:
    line = f'router_subgraph_breaker_state{{state="{state}",subgraph="accounts"}} 1.0'
    return line in app.telemetry.exposition().decode()


@pytest.mark.parametrize(("client", "timeout"), [("aiohttp", 60.0), ("pyreqwest", 0.3)])
async def test_a_cancelled_fetch_closes_its_connection(client: str, timeout: float) -> None:
    """A subgraph over HTTP sees that nobody waits any more: at once, or (pyreqwest) when the fetch's time is over."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        while await reader.read(1000):
            continue
        gone.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = HttpTransport(f"http://127.0.0.1:{port}", open_client(client, timeout=60))
        transport = GuardedTransport(http, Guards(timeout=timeout))
        request = SubgraphRequest("{a}", None, None, {}, "query")
        fetch = asyncio.create_task(transport.execute(request))
        await asyncio.wait_for(asked.wait(), 5)
        fetch.cancel()
        await asyncio.wait_for(gone.wait(), 5)
        await asyncio.gather(fetch, return_exceptions=True)
        await transport.close()
