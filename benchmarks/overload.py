"""Three times the load that the router can take: ``make bench-overload``.

First its capacity with as many clients as it likes; then requests come at a rate, whether earlier ones have been
answered or not; then its capacity again. Every answer is checked: right, or refused in the way that is promised.

Goodput is told in answers a second and in answers a second of the router's processor time: on a machine that does
other things, the second says more. ``OVERLOAD_QUERY`` (big, medium, one), ``OVERLOAD_SECONDS``, ``OVERLOAD_TIMES``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httptools
import orjson
import uvloop

from benchmarks.router import load
from benchmarks.router.__main__ import FIRST_PORT, GATEWAY_PORT, supergraph_sdl
from benchmarks.router.gateways import GATEWAY_CORE, OTHER_CORE, cpu_seconds, gateways, pinned, wait_for
from benchmarks.router.graph import QUERIES, unsplit_answer
from router.settings import ResilienceSettings

RESULTS = Path(__file__).parent / "results" / "overload.json"
QUERY = os.environ.get("OVERLOAD_QUERY", "big")
SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "10"))
TIMES = float(os.environ.get("OVERLOAD_TIMES", "3"))
CLIENTS = 10
WANTED, SOON = 0.7, 0.1
"""What the router promises: the share of its best goodput, and the seconds in which it refuses."""


@dataclass
class Tally:
    """What became of the requests. ``served`` and ``shed``: the seconds that each took."""

    expected: Any
    served: list[float] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    open: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nothing is open."""
    known: set[bytes] = field(default_factory=set)

    def take(self, status: int, headers: dict[str, str], body: bytes, took: float) -> None:
        if status == 200 and (body in self.known or orjson.loads(body) == self.expected):
            self.known.add(body)
            self.served.append(took)
        elif status == 503 and _is_refusal(headers, body):
            self.shed.append(took)
        else:
            self.wrong[f"{status} {body[:100]!r}"] += 1


def _is_refusal(headers: dict[str, str], body: bytes) -> bool:
    code = orjson.loads(body)["errors"][0]["extensions"]["code"]
    return code == "OVERLOADED" and headers.get("retry-after", "").isdigit()


class Client(asyncio.Protocol):
    """A connection that is used again when its answer has come."""

    def __init__(self, tally: Tally, idle: list[Client]) -> None:
        self._tally = tally
        self._idle = idle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, began: float) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._began = began
        self._body: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._tally.open += 1
        self._tally.quiet.clear()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        took = time.perf_counter() - self._began
        self._tally.open -= 1
        if not self._tally.open:
            self._tally.quiet.set()
        self._tally.take(self._parser.get_status_code(), self._headers, b"".join(self._body), took)
        self._idle.append(self)


async def flood(port: int, request: bytes, expected: Any, rate: float) -> Tally:
    """Send at a rate for a while, and wait until everything is answered."""
    loop = asyncio.get_running_loop()
    tally, idle = Tally(expected), list[Client]()
    started, sent = time.perf_counter(), 0
    opening: set[asyncio.Task[None]] = set()

    async def on_a_new_connection(due: float) -> None:
        _, client = await loop.create_connection(lambda: Client(tally, idle), "127.0.0.1", port)
        client.send(request, due)

    while (now := time.perf_counter() - started) < SECONDS:
        while sent < now * rate:
            # Waiting for our own turn is no fault of the router's: a request begins when it is sent.
            due = time.perf_counter()
            if idle:
                idle.pop().send(request, due)
            else:
                task = loop.create_task(on_a_new_connection(due))
                opening.add(task)
                task.add_done_callback(opening.discard)
            sent += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*opening)
    with suppress(TimeoutError):
        await asyncio.wait_for(tally.quiet.wait(), 20)
    tally.wrong["no answer"] += tally.open
    return tally


async def capacity(pid: int, port: int, query: str, expected: Any) -> tuple[float, float]:
    """Answers a second, and a second of processor time, with clients who wait for one another."""
    trial = await load.run(port, query, CLIENTS, 300)
    rate = 300 / (sum(trial.latencies) / CLIENTS)
    requests = int(rate * SECONDS / 2)
    used, began = cpu_seconds(pid), time.perf_counter()
    found = await load.run(port, query, CLIENTS, requests)
    took, used = time.perf_counter() - began, cpu_seconds(pid) - used
    assert all(orjson.loads(body) == expected for body in found.bodies), "wrong answers"
    return requests / took, requests / used


def percentile(values: list[float], share: float) -> float | None:
    """In milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1) if ordered else None


async def measure(pid: int, port: int) -> dict[str, Any]:
    """Capacity, overload, capacity."""
    query, expected = QUERIES[QUERY], unsplit_answer(QUERIES[QUERY])
    body = orjson.dumps({"query": query})
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    before, before_cpu = await capacity(pid, port, query, expected)
    used, began = cpu_seconds(pid), time.perf_counter()
    tally = await flood(port, head.encode() + body, expected, before * TIMES)
    took, used = time.perf_counter() - began, cpu_seconds(pid) - used
    after, after_cpu = await capacity(pid, port, query, expected)
    best, best_cpu = max(before, after), max(before_cpu, after_cpu)
    return {
        "query": QUERY,
        "offered_times": TIMES,
        "best_per_second": round(best),
        "goodput_per_second": round(len(tally.served) / took),
        "goodput_share": round(len(tally.served) / took / best, 2),
        "goodput_share_of_cpu": round(len(tally.served) / used / best_cpu, 2),
        "after_share_of_cpu": round(after_cpu / before_cpu, 2),
        "served": len(tally.served),
        "shed": len(tally.shed),
        "wrong": dict(tally.wrong),
        "served_ms": {"p50": percentile(tally.served, 0.5), "p99": percentile(tally.served, 0.99)},
        "shed_ms": {"p50": percentile(tally.shed, 0.5), "p99": percentile(tally.shed, 0.99)},
        "shed_within_100_ms": round(sum(each <= SOON for each in tally.shed) / max(len(tally.shed), 1), 3),
    }


def defaults() -> dict[str, str]:
    """What other benchmarks turn off."""
    bounds = ResilienceSettings()
    return {"ROUTER_RESILIENCE__BUSY": str(bounds.busy), "ROUTER_RESILIENCE__LAG": str(bounds.lag)}


def main() -> int:
    """Measure, print, write the results; 1 if a promise is not kept."""
    os.sched_setaffinity(0, {OTHER_CORE} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    static = (sys.executable, "-m", "benchmarks.router.static_server", str(FIRST_PORT))
    with tempfile.TemporaryDirectory() as folder, pinned(static, OTHER_CORE):
        supergraph = Path(folder) / "supergraph.graphql"
        supergraph.write_text(supergraph_sdl(), encoding="utf-8")
        wait_for(f"http://127.0.0.1:{FIRST_PORT}/count")
        own = gateways(None, supergraph, GATEWAY_PORT)[0]
        with pinned(own.command, GATEWAY_CORE, ROUTER_INTERNAL_PORT=str(GATEWAY_PORT + 900), **defaults()) as pid:
            wait_for(f"http://127.0.0.1:{GATEWAY_PORT}/health", 60)
            figures = uvloop.run(measure(pid, GATEWAY_PORT))
    print(json.dumps(figures, indent=2))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    share = max(figures["goodput_share"], figures["goodput_share_of_cpu"])
    return int(bool(figures["wrong"].get("no answer")) or share < WANTED)


if __name__ == "__main__":
    sys.exit(main())
