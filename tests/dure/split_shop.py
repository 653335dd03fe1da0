"""``dure up --split`` on servers of its own, all of which a test may stop and start: processes, databases, broker."""

from __future__ import annotations

import asyncio
import os
import signal
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ulid import ULID

from dure import subgraphs
from tests.dure.shop import Buyer, ShopProcess, make_buyer
from tests.dure.test_demo import per_subgraph
from tests.support import servers
from tests.support.process import free_port
from tests.support.servers import Restartable

SUBGRAPHS = tuple(subgraphs.ALL)
TIMEOUT = 1.5
"""Seconds that the router gives a subgraph here."""

QUICK = {
    "ROUTER_SUBGRAPH_TIMEOUT": str(TIMEOUT),
    "ROUTER_RESILIENCE__BREAKER_CALLS": "4",
    "ROUTER_RESILIENCE__BREAKER_OPEN": "0.5",
    "ROUTER_RATE_LIMITS__ENABLED": "true",
    "ROUTER_RATE_LIMITS__ANONYMOUS": '{"per_second": 1000, "burst": 1000}',
    "ROUTER_RATE_LIMITS__SIGNED_IN": '{"per_second": 1000, "burst": 1000}',
    "DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H",
    "DURE_DEMO_PASSWORD": "a demo password",
}

PROBE = """
query Probe($word: String!, $id: ID!, $address: ID!) {
  users: me { id email }
  products: nutrients(search: $word) { id }
  funding: projectSearch(query: $word) { totalCount }
  orders: order(number: $word) { id }
  payments: payment(id: $id) { id }
  delivery: address(id: $address) { id }
}"""
"""One field of each subgraph, by its name."""


@dataclass
class SplitShop:
    """A running shop, and what it stands on."""

    process: ShopProcess
    postgres: Restartable
    rabbitmq: Restartable
    redis: Restartable
    buyer: Buyer
    session: aiohttp.ClientSession

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """A subgraph as a whole, its API and its workers, stands still (SIGSTOP) and then goes on."""
        pids = [part_pid(self.process.pid, kind, name) for kind in ("api", "workers")]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def send(self, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The whole answer to an operation; ``token``: the buyer's unless another is given, "" for nobody."""
        bearer = self.buyer.token if token is None else token
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        body = {"query": query, "variables": variables}
        async with self.session.post(f"{self.process.url}/graphql", json=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def data(self, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = await self.send(query, token=token, **variables)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def probe(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The probe's data, and the codes of its errors by the subgraph that they name."""
        nobodys = urlsafe_b64encode(f"Payment:{ULID()}".encode()).decode().rstrip("=")
        answer = await self.send(PROBE, word=os.urandom(8).hex(), id=nobodys, address=self.buyer.address_id)
        codes = {each["extensions"]["service"]: each["extensions"]["code"] for each in answer.get("errors", ())}
        return answer["data"], codes

    async def whole(self) -> bool:
        """Whether every subgraph answers."""
        data, codes = await self.probe()
        there = all(data[name] is not None for name in ("users", "products", "funding", "delivery"))
        assert there or codes, "nothing is missing without an error"
        return not codes

    async def metric(self, line: str) -> float:
        """A metric of the router, by its name and labels; 0 if it is not there."""
        async with self.session.get(f"http://127.0.0.1:{self.process.port + 1000}/metrics") as response:
            text = await response.text()
        found = [each.rpartition(" ")[2] for each in text.splitlines() if each.startswith(line + " ")]
        return float(found[0]) if found else 0.0

    async def live(self) -> bool:
        """Whether the router takes requests."""
        async with self.session.get(f"{self.process.url}/health/ready") as response:
            return response.status == 200

    async def readiness(self, name: str) -> int:
        """The status of a subgraph's readiness."""
        port = int(self.process.environment["DURE_FIRST_SUBGRAPH_PORT"]) + SUBGRAPHS.index(name)
        async with self.session.get(f"http://127.0.0.1:{port}/health/ready") as response:
            return response.status


def part_pid(parent: int, *names: str) -> int:
    """The process that runs a part: ``api users``, for example."""
    wanted = b"\0".join(each.encode() for each in ("-m", "dure", "part", *names)) + b"\0"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _child(entry, parent) and (entry / "cmdline").read_bytes().endswith(wanted):
            return int(entry.name)
    raise LookupError(f"no part {' '.join(names)} runs")


def _child(entry: Path, parent: int) -> bool:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def split_shop(folder: Path) -> AsyncIterator[SplitShop]:
    """A shop with demo data and a buyer; stopped by the test, or afterwards."""
    with ExitStack() as stack:
        postgres = stack.enter_context(servers.postgres_restartable())
        rabbitmq = stack.enter_context(servers.rabbitmq_restartable())
        redis = stack.enter_context(servers.redis_restartable())
        environment = {
            **QUICK,
            "DURE_DATABASE_URL": per_subgraph(postgres.url),
            "DURE_BROKER_URL": rabbitmq.url,
            "DURE_REDIS_URL": redis.url,
            "DURE_FIRST_SUBGRAPH_PORT": str(free_port(in_a_row=6)),
            "DURE_PROVIDER_PORT": str(free_port()),
        }
        process = ShopProcess(folder, environment, ("--split",))
        try:
            await process.start()
            buyer = await make_buyer(process.url)
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                yield SplitShop(process, postgres, rabbitmq, redis, buyer, session)
        finally:
            await process.stop()


async def restart(server: Restartable) -> None:
    """Start a server again that was killed."""
    await asyncio.to_thread(server.process.start)
