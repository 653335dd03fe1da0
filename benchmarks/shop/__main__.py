"""Purchases a second until PAID, of the whole shop: ``make bench``.

The load generator runs on the same machine, and what it uses is shown with the rest. After each run every acknowledged
order must be PAID with exactly one capture, and ``dure audit`` must print nothing; else there is no result.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.shop import verify
from benchmarks.shop.cpu import cpu_by_part, memory_by_part
from benchmarks.shop.load import Buying, Purchases
from benchmarks.shop.modes import MODES, Shop, prepared
from db.session import Database

RESULTS = Path(__file__).parents[1] / "results" / "latest.json"
console = Console(highlight=False)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shop", description=__doc__)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seconds", type=float, default=60, help="how long each mode is bought from")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds of buying that do not count")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--reads", type=float, default=0.0, help="share of requests that only look (0.9: nine of ten)")
    parser.add_argument("--unpaid", type=int, default=2048, help="orders under way at most")
    parser.add_argument("--buyers", type=int, default=500)
    parser.add_argument("--units", type=int, default=2000, help="units of each variant that are added to the stock")
    parser.add_argument("--no-write", action="store_true", help="do not write benchmarks/results/latest.json")
    return parser.parse_args()


async def measure(mode: str, given: argparse.Namespace) -> dict[str, Any]:
    """One mode, from an empty folder to a verified result."""
    with prepared(mode) as shop:
        tickets_file = shop.folder / "tickets.json"
        console.print(f"[bold]{mode}[/bold]: filling the shop ...")
        shop.python("benchmarks.shop.seed", "seed", str(tickets_file), str(given.buyers), str(given.units))
        with shop.open():
            shop.python("benchmarks.shop.seed", "tickets", str(tickets_file), str(given.buyers))
            tickets = orjson.loads(tickets_file.read_bytes())
            figures = await _buy(shop, tickets, given)
            show({mode: figures})
            figures |= await verify.purchases(shop, figures.pop("acknowledged"))
        if problems := shop.audit():
            raise RuntimeError(f"dure audit:\n{problems[:3000]}")
        return figures


async def _buy(shop: Shop, tickets: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    async with Database(shop.database_of("orders")) as orders:
        console.print("  buying ...")
        acknowledged: set[str] = set()
        for seconds in (given.warm_up, given.seconds):
            load = Buying(
                shop.port, tickets, orders, connections=given.connections, unpaid=given.unpaid, reads=given.reads
            )
            before = cpu_by_part()
            result = await load.run(seconds)
            after = cpu_by_part()
            acknowledged |= result.acknowledged
    return {"acknowledged": acknowledged, **_figures(result, before, after)}


def _figures(result: Purchases, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    cpu = {
        part: round((seconds - before.get(part, 0.0)) / max(result.paid, 1) * 1e6)
        for part, seconds in sorted(after.items())
    }
    return {
        "purchases_per_second": round(result.per_second, 1),
        "paid": result.paid,
        "seconds": round(result.last_paid - result.began, 1),
        "errors": dict(result.errors),
        "reads_per_second": round(len(result.to_read) / max(result.last_paid - result.began, 1), 1),
        "to_read_ms": _percentiles(result.to_read),
        "to_answer_ms": _percentiles(result.to_answer),
        "to_paid_ms": _percentiles(result.to_paid),
        "cpu_us_per_purchase": {part: micros for part, micros in cpu.items() if micros},
        "cpu_us_per_purchase_in_all": sum(cpu.values()),
        "memory_mib": {part: round(mib) for part, mib in sorted(memory_by_part().items())},
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100)
    return {name: round(cuts[at - 1] * 1000, 1) for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


def show(results: Mapping[str, dict[str, Any]]) -> None:
    table = Table("mode", "purchases/s", "CPU µs a purchase", "answer p50/p99 ms", "PAID p50/p99 ms", "errors")
    for mode, each in results.items():
        answer, paid = each["to_answer_ms"], each["to_paid_ms"]
        table.add_row(
            mode,
            f"{each['purchases_per_second']:.0f}",
            f"{each['cpu_us_per_purchase_in_all']}: "
            + ", ".join(f"{part} {micros}" for part, micros in each["cpu_us_per_purchase"].items()),
            f"{answer.get('p50')} / {answer.get('p99')}",
            f"{paid.get('p50')} / {paid.get('p99')}",
            str(sum(each["errors"].values())),
        )
    console.print(table)
    for mode, each in results.items():
        if reads := each["to_read_ms"]:
            console.print(f"{mode}: {each['reads_per_second']:.0f} reads/s, p50/p99 {reads['p50']} / {reads['p99']} ms")
        for error, count in each["errors"].items():
            console.print(f"[red]{mode}: {count} x {error}[/red]")


def write(results: Mapping[str, dict[str, Any]]) -> None:
    """Into ``latest.json``; modes that were not measured keep what they had."""
    kept: dict[str, Any] = orjson.loads(RESULTS.read_bytes()) if RESULTS.exists() else {}
    now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    details = kept.get("details", {}) | {mode: {"measured": now, **each} for mode, each in results.items()}
    written = {
        "purchases_per_second": {mode: each["purchases_per_second"] for mode, each in details.items()},
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "details": details,
    }
    RESULTS.write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def main() -> None:
    given = options()
    results: dict[str, dict[str, Any]] = {}
    mixed = f" {given.reads:.0%} reads" if given.reads else ""
    for mode in given.modes:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results[mode + mixed] = runner.run(measure(mode, given))
    if not given.no_write:
        write(results)
    sys.exit(any(sum(each["errors"].values()) for each in results.values()))


if __name__ == "__main__":
    main()
