"""A flash sale at full size against ``dure up --split``: ``make flash-sale``.

Thousands of customers, hundreds of units, from the waiting room to PAID. Redis is flushed when a quarter is claimed, a
service is killed when half is. There is a result only if exactly the units were sold, nobody has two, whatever a
customer was told is so, and ``dure audit`` prints nothing. The load generator runs on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.flash import rush, verify
from benchmarks.flash.rush import Plan, State, Trouble
from benchmarks.shop.cpu import cpu_by_part, memory_by_part, pids_of
from benchmarks.shop.modes import MODES, Shop, prepared
from db.session import Database

console = Console(highlight=False)
SETTINGS = {
    "DURE_PRODUCTS_FLASH_HOLD_SECONDS": "30",
    "DURE_PRODUCTS_FLASH_ADMISSION_SECONDS": "40",
    "DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H",
}
"""Shorter than usual, so that what dreamers and hoarders keep comes back while the others wait."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flash_sale", description=__doc__)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--mode", choices=MODES, default="split-services")
    parser.add_argument("--kill", default="api products", help="the part that is killed (split only)")
    parser.add_argument("--opening", type=float, default=30, help="seconds in which customers come before the sale")
    parser.add_argument("--within", type=float, default=900, help="seconds after which all must be over")
    return parser.parse_args()


async def sell(given: argparse.Namespace) -> list[str]:
    """The whole sale; what was found wrong."""
    with prepared(given.mode) as made:
        shop = replace(made, environment={**made.environment, **SETTINGS})
        file = shop.folder / "customers.json"
        console.print(f"{given.customers} customers, {given.units} units, {given.mode}: filling the shop ...")
        shop.python("benchmarks.flash.seed", str(file), str(given.customers), str(given.units))
        with shop.open():
            shop.python("benchmarks.shop.seed", "tickets", str(shop.folder / "told.json"), "1")
            tickets = orjson.loads(file.read_bytes())
            plan = Plan(
                tickets, given.units, opening=given.opening, within=given.within, troubles=list(_troubles(shop, given))
            )
            before = cpu_by_part()
            async with Database(shop.database_of("products")) as products:
                with Live(console=console, refresh_per_second=4) as live:
                    url = f"http://127.0.0.1:{shop.port}"
                    state = await rush.run(url, products, plan, lambda state: live.update(_progress(state, plan)))
            used, memory = cpu_by_part(), memory_by_part()
        wrong = verify.problems(await verify.facts(shop.database_of, state.sale_id), given.units, state.told)
        console.print(summary(state, _difference(before, used), memory))
        console.print(shop.python("dure", "fairness", state.sale_id))
        if audit := shop.audit():
            wrong.append(f"dure audit:\n{audit[:3000]}")
        return wrong


def _troubles(shop: Shop, given: argparse.Namespace) -> list[Trouble]:
    troubles = []
    if url := shop.environment.get("DURE_REDIS_URL"):

        async def flush() -> None:
            async with Redis.from_url(url) as redis:
                await redis.flushall()

        troubles.append(Trouble("Redis is flushed", 0.25, flush))
    if shop.split:

        async def kill() -> None:
            for pid in pids_of(given.kill):
                os.kill(pid, signal.SIGKILL)

        troubles.append(Trouble(f"{given.kill} is killed", 0.5, kill))
    return troubles


def _progress(state: State, plan: Plan) -> Table:
    told = state.told
    table = Table("seconds", "in the line", "let in", "claimed", "paid", "came again")
    table.add_row(
        f"{state.seconds:.0f}",
        str(told.waiting),
        str(told.admitted),
        f"{state.claimed} of {plan.units}",
        str(state.paid),
        str(sum(state.app.again.values())),
    )
    for each in state.happened:
        table.caption = each if table.caption is None else f"{table.caption}\n{each}"
    return table


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {part: seconds - before.get(part, 0.0) for part, seconds in after.items()}


def summary(state: State, cpu: Mapping[str, float], memory: Mapping[str, float]) -> Table:
    """What was seen."""
    told: Any = state.told
    table = Table("of the sale", "", title="Flash sale")
    table.add_row("all paid after", f"{state.seconds:.1f} s")
    table.add_row("requests", f"{state.app.requests} ({state.app.requests / state.seconds:.0f}/s)")
    table.add_row("tickets, let in", f"{told.tickets}, {told.admitted}")
    table.add_row("news of the line", f"{told.news}")
    table.add_row("claims, orders, paid", f"{len(told.claims)}, {len(told.orders)}, {len(told.paid)}")
    table.add_row("claim p50/p95", _percentiles(told.claim_seconds))
    table.add_row("order to PAID p50/p95", _percentiles(told.paid_seconds))
    for name, counted in (("refused", told.refused), ("came again", state.app.again)):
        table.add_row(name, ", ".join(f"{why} {count}" for why, count in counted.most_common()) or "nobody")
    for each in state.happened:
        table.add_row("happened", each)
    busiest = sorted(cpu.items(), key=lambda each: -each[1])[:8]
    table.add_row("CPU seconds", ", ".join(f"{part} {seconds:.1f}" for part, seconds in busiest))
    largest = sorted(memory.items(), key=lambda each: -each[1])[:6]
    table.add_row("MiB", ", ".join(f"{part} {mib:.0f}" for part, mib in largest))
    return table


def _percentiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return ""
    cuts = statistics.quantiles(seconds, n=20)
    return f"{cuts[9] * 1000:.0f} / {cuts[18] * 1000:.0f} ms"


def main() -> None:
    given = options()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        wrong = runner.run(sell(given))
    for each in wrong:
        console.print(f"[red]{each}[/red]")
    if not wrong:
        console.print(f"[bold green]Exactly {given.units} sold, nobody twice, every promise kept.[/bold green]")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
