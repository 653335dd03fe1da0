"""The router's cost a request, beside that of other gateways: ``make bench-router [PEERS=DIR]``.

The gateway has one core to itself; subgraphs and load share the other. Processor time is read from /proc, so what a
busy machine adds to the waiting is not counted. Every answer is compared with the unsplit schema's.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.router import load
from benchmarks.router.gateways import (
    GATEWAY_CORE,
    OTHER_CORE,
    Gateway,
    cpu_seconds,
    gateways,
    pinned,
    resident_mib,
    wait_for,
)
from benchmarks.router.graph import LINK, MOST_BIG_FETCHES, QUERIES, SUBGRAPHS, unsplit_answer
from router.composition.compose import SubgraphInput, compose

RESULTS = Path(__file__).parents[1] / "results" / "router.json"
FIRST_PORT, GATEWAY_PORT = 47101, 47100
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
"""How long each measurement should take, more or less."""

Figures = dict[str, Any]


def supergraph_sdl() -> str:
    """The four subgraphs composed."""
    made = compose(
        [
            SubgraphInput(name, f"http://127.0.0.1:{FIRST_PORT + index}/graphql", LINK + sdl)
            for index, (name, sdl) in enumerate(SUBGRAPHS.items())
        ]
    )
    assert made.supergraph_sdl is not None, made.errors
    return made.supergraph_sdl


def sub_requests() -> int:
    """Requests that the subgraphs have had."""
    return int(wait_for(f"http://127.0.0.1:{FIRST_PORT}/count"))


async def measure(pid: int, query: str, expected: Any) -> Figures:
    """One query: cold, then at one connection, then at fifty."""
    before = sub_requests()
    began = time.perf_counter()
    first = await load.run(GATEWAY_PORT, query, 1, 1)
    figures: Figures = {"first_ms": (time.perf_counter() - began) * 1000, "fetches": sub_requests() - before}
    check(first, expected)
    figures["bytes"] = len(next(iter(first.bodies)))
    warm = await load.run(GATEWAY_PORT, query, 50, 400)
    for connections in (1, 50):
        rate = 1 / (sum(warm.latencies) / len(warm.latencies)) * 50
        requests = max(100, min(20000, int(rate * SECONDS)))
        used = cpu_seconds(pid)
        found = await load.run(GATEWAY_PORT, query, connections, requests)
        figures[f"cpu_ms_{connections}"] = (cpu_seconds(pid) - used) * 1000 / requests
        figures[f"p50_ms_{connections}"] = sorted(found.latencies)[requests // 2] * 1000
        check(found, expected)
    return figures


def check(found: load.Load, expected: Any) -> None:
    """Every answer that came is the expected one. Raises ValueError."""
    for body in found.bodies:
        if orjson.loads(body).get("data") != expected["data"]:
            raise ValueError(f"wrong answer: {body[:400]!r}")


def run_gateway(gateway: Gateway, supergraph: Path) -> Figures:
    """All queries on one gateway."""
    environment = {"SUPERGRAPH": str(supergraph), "PORT": str(GATEWAY_PORT)}
    with pinned(gateway.command, GATEWAY_CORE, **environment) as pid:
        wait_for(f"http://127.0.0.1:{GATEWAY_PORT}/health", 60)
        figures: Figures = {
            name: asyncio.run(measure(pid, query, unsplit_answer(query))) for name, query in QUERIES.items()
        }
        figures["resident_mib"] = resident_mib(pid)
    return figures


def main(peers: Path | None) -> int:
    """Measure, print, write the results."""
    os.sched_setaffinity(0, {OTHER_CORE} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    found: dict[str, Figures] = {}
    static = (sys.executable, "-m", "benchmarks.router.static_server", str(FIRST_PORT))
    with tempfile.TemporaryDirectory() as folder, pinned(static, OTHER_CORE):
        supergraph = Path(folder) / "supergraph.graphql"
        supergraph.write_text(supergraph_sdl(), encoding="utf-8")
        wait_for(f"http://127.0.0.1:{FIRST_PORT}/count")
        for gateway in gateways(peers, supergraph, GATEWAY_PORT):
            found[gateway.name] = run_gateway(gateway, supergraph)
    Console().print(table(found))
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()}
    RESULTS.write_text(json.dumps({"machine": machine, "gateways": found}, indent=2) + "\n", encoding="utf-8")
    own = found["this router"]["big"]["fetches"]
    if own > MOST_BIG_FETCHES:
        print(f"the big query took {own} sub-requests, more than {MOST_BIG_FETCHES}", file=sys.stderr)
        return 1
    return 0


def table(found: dict[str, Figures]) -> Table:
    """The figures; the ratio is to the first gateway's processor time at fifty connections."""
    shown = Table(title="Processor milliseconds a request, one core for the gateway")
    heads = ("gateway", "query", "1 conn.", "50 conn.", "ratio", "p50 ms", "first ms", "fetches", "KB", "MiB")
    for head in heads:
        shown.add_column(head, justify="left" if head in ("gateway", "query") else "right")
    own = found["this router"]
    for name, figures in found.items():
        for query in QUERIES:
            one = figures[query]
            shown.add_row(
                name,
                query,
                f"{one['cpu_ms_1']:.2f}",
                f"{one['cpu_ms_50']:.2f}",
                f"{one['cpu_ms_50'] / own[query]['cpu_ms_50']:.1f}",
                f"{one['p50_ms_1']:.2f}",
                f"{one['first_ms']:.0f}",
                str(one["fetches"]),
                f"{one['bytes'] / 1000:.0f}",
                f"{figures['resident_mib']:.0f}",
            )
    return shown


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["PEERS"]).resolve() if os.environ.get("PEERS") else None))
