"""What it costs to let people watch their place in the line: ``python -m benchmarks.flash_watchers --watchers 1000``.

Each has a WebSocket of his own with ``queueTicketUpdated``. Memory is what the shop's processes grow by while they
connect; processor time is what they use while the line moves, from /proc, the load generator's own apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.flash.client import App
from benchmarks.flash.customers import ENTER
from benchmarks.flash.rush import Plan, put_up
from benchmarks.shop.cpu import cpu_by_part, memory_by_part
from benchmarks.shop.modes import MODES, prepared

console = Console(highlight=False)
WATCH = "subscription($id: ID!) { queueTicketUpdated(id: $id) { status position estimatedWaitSeconds admissionToken } }"
AT_ONCE = 50


class Watchers:
    """People with a socket each; what they are told is counted."""

    def __init__(self, url: str, session: aiohttp.ClientSession, sale_id: str) -> None:
        self._url = url
        self._session = session
        self._sale = sale_id
        self._app = App(url, session)
        self._room = asyncio.Semaphore(AT_ONCE)
        self.heard: Counter[str] = Counter()
        self.latest: dict[int, Any] = {}

    async def follow(self, number: int, person: dict[str, str]) -> None:
        """Enter the line and watch."""
        async with self._room:
            entered = (await self._app.ask(ENTER, person["token"], id=self._sale))["flashSaleEnter"]["ticket"]
            headers = {"authorization": f"Bearer {person['token']}"}
            socket = await self._session.ws_connect(
                f"{self._url}/graphql", protocols=["graphql-transport-ws"], headers=headers, max_msg_size=0
            )
            await socket.send_json({"type": "connection_init"})
            await socket.receive_json()
            subscribe = {"query": WATCH, "variables": {"id": entered["id"]}}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": subscribe})
            await self._take(number, await socket.receive_json())
        async for message in socket:
            told = orjson.loads(message.data)
            if told["type"] == "ping":
                await socket.send_json({"type": "pong"})
            else:
                await self._take(number, told)

    async def _take(self, number: int, told: dict[str, Any]) -> None:
        payload = told.get("payload")
        data = payload.get("data") if isinstance(payload, dict) else None
        if data is None:
            self.heard[f"{told['type']}: {payload}"[:150]] += 1
            return
        ticket = data["queueTicketUpdated"]
        self.heard[ticket["status"]] += 1
        self.latest[number] = ticket


async def measure(given: argparse.Namespace) -> None:
    with prepared(given.mode) as made:
        shop = replace(made, environment={**made.environment, "DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H"})
        file = shop.folder / "customers.json"
        shop.python("benchmarks.flash.seed", str(file), str(given.watchers), str(given.units))
        with shop.open():
            shop.python("benchmarks.shop.seed", "tickets", str(shop.folder / "told.json"), "1")
            tickets = orjson.loads(file.read_bytes())
            url = f"http://127.0.0.1:{shop.port}"
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
                opening = 20 + given.watchers / 40
                sale = await put_up(App(url, session), Plan(tickets, given.units, opening=opening))
                opens = time.monotonic() + opening
                watchers = Watchers(url, session, sale.id)
                small, used = memory_by_part(), cpu_by_part()
                tasks = [asyncio.create_task(watchers.follow(*each)) for each in enumerate(tickets["customers"])]
                while len(watchers.latest) < given.watchers:
                    _complain(tasks)
                    await asyncio.sleep(0.2)
                large, connected = memory_by_part(), cpu_by_part()
                console.print(f"{given.watchers} watch, {opens - time.monotonic():.0f} s before the opening")
                await asyncio.sleep(max(opens - time.monotonic(), 0) + 5)  # the draw is told to everybody
                drawn, before = dict(watchers.heard), cpu_by_part()
                await asyncio.sleep(given.seconds)
                after, heard = cpu_by_part(), dict(watchers.heard)
                _complain(tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        show(given, small, large, (used, connected), (before, after), sum(heard.values()) - sum(drawn.values()))
        console.print(heard, random.sample(list(watchers.latest.items()), 3))


def _complain(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            task.result()


def show(
    given: argparse.Namespace,
    small: dict[str, float],
    large: dict[str, float],
    connecting: tuple[dict[str, float], dict[str, float]],
    watching: tuple[dict[str, float], dict[str, float]],
    messages: int,
) -> None:
    """A row for each part that grew or worked."""
    table = Table("part", "KiB a watcher", "CPU ms to connect one", "CPU ms a watcher and minute")
    n = given.watchers
    for part in sorted({*large, *watching[1]} - {"load generator"}):
        grown = (large.get(part, 0) - small.get(part, 0)) * 1024 / n
        began = (connecting[1].get(part, 0) - connecting[0].get(part, 0)) * 1000 / n
        worked = (watching[1].get(part, 0) - watching[0].get(part, 0)) * 1000 / n * 60 / given.seconds
        if grown > 1 or began > 0.1 or worked > 0.1:
            table.add_row(part, f"{grown:.1f}", f"{began:.2f}", f"{worked:.2f}")
    console.print(table)
    console.print(
        f"{messages} messages in {given.seconds:.0f} s: {messages / n / given.seconds * 60:.1f} a watcher and minute"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flash_watchers", description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--mode", choices=MODES, default="one-process-sqlite")
    given = parser.parse_args()
    console.print(f"{given.watchers} watchers, {given.mode}, pid {os.getpid()}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(given))


if __name__ == "__main__":
    main()
