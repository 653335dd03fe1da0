"""Buyers who buy: a closed loop over N connections, held back so that no more than so many orders are unpaid."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import select

from benchmarks.shop.client import BadAnswer, Client
from db.session import Database
from dure.settings import ROOT
from subgraphs.kit.ids import parse_id
from subgraphs.orders.models import Order

ORDERS = Order.__table__
OPERATIONS = ROOT / "dure/demo/operations"
LOOK_SECONDS = 0.1
UNTIL_PAID_SECONDS = 60.0


@dataclass
class Purchases:
    """What happened. Times in seconds; ``unpaid``: when each order that is not paid yet was acknowledged."""

    unpaid: dict[str, float] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    paid: int = 0
    began: float = 0.0
    last_paid: float = 0.0
    to_answer: list[float] = field(default_factory=list)
    to_paid: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return self.paid / (self.last_paid - self.began) if self.paid else 0.0


class Buying:
    """The load: the text of the operation once, its hash ever after."""

    def __init__(self, port: int, tickets: dict[str, Any], orders: Database, *, connections: int, unpaid: int) -> None:
        self._port = port
        self._orders = orders
        self._connections = connections
        self._limit = unpaid
        self._room = asyncio.Event()
        self._room.set()
        query = (OPERATIONS / "place_order.graphql").read_text()
        self._named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
        self._registering = {"query": query, "extensions": self._named}
        self._requests = self._make_requests(tickets)
        self.result = Purchases()

    async def run(self, seconds: float) -> Purchases:
        """Buy for so long, then wait until everything acknowledged is paid."""
        await self._register()
        self.result = Purchases(began=time.perf_counter())
        until = self.result.began + seconds
        looking = asyncio.create_task(self._look())
        await asyncio.gather(*(self._buy(until) for _ in range(self._connections)))
        try:
            await asyncio.wait_for(looking, UNTIL_PAID_SECONDS)
        except TimeoutError:
            self.result.errors["not paid in time"] += len(self.result.unpaid)
        return self.result

    async def _register(self) -> None:
        """Make the operation known by its hash. What is asked with it is refused, so that nothing is bought."""
        client = await Client.connect(self._port)
        nothing = {"variables": {"input": None, "key": ""}, **self._registering}
        await client.post(orjson.dumps(nothing))
        client.close()

    def _make_requests(self, tickets: dict[str, Any]) -> Iterator[tuple[bytes, str]]:
        """Buyers take turns; each buys one of something."""
        dice = random.Random(1)
        for buyer in itertools.cycle(tickets["buyers"]):
            variant, total = dice.choice(tickets["offers"])
            wish = {
                "lines": [{"variantId": variant, "quantity": 1}],
                "addressId": buyer["address"],
                "paymentMethodId": buyer["method"],
                "expectedTotal": total,
            }
            variables = {"input": wish, "key": secrets.token_hex(12)}
            body = {"variables": variables, "extensions": self._named}
            yield orjson.dumps(body), buyer["token"]

    async def _buy(self, until: float) -> None:
        client = await Client.connect(self._port)
        result = self.result
        while True:
            await self._room.wait()
            began = time.perf_counter()
            if began >= until:
                break
            if client.closed:
                client = await Client.connect(self._port)
            try:
                answer = await client.post(*next(self._requests))
                order_id = answer["data"]["orderCreate"]["order"]["id"]
            except (BadAnswer, TypeError, KeyError) as error:
                result.errors[str(error)[:200] if isinstance(error, BadAnswer) else str(answer)[:200]] += 1
                if isinstance(error, BadAnswer):
                    client.close()
                continue
            now = time.perf_counter()
            result.to_answer.append(now - began)
            local = parse_id(order_id)
            assert local is not None
            result.unpaid[local[1]] = began
            result.acknowledged.add(local[1])
            if len(result.unpaid) >= self._limit:
                self._room.clear()
        client.close()
        self._connections -= 1

    async def _look(self) -> None:
        """Take note of what has become PAID, until nothing more can come."""
        result = self.result
        while self._connections or result.unpaid:
            await asyncio.sleep(LOOK_SECONDS)
            oldest = list(itertools.islice(result.unpaid, 1000))
            query = select(ORDERS.c.id, ORDERS.c.status).where(ORDERS.c.id.in_(oldest), ORDERS.c.status != "PENDING")
            async with self._orders.read() as connection:
                rows = (await connection.execute(query)).all()
            now = time.perf_counter()
            for row in rows:
                if row.status in ("CANCELED", "EXPIRED"):
                    result.errors[f"order {row.status}"] += 1
                    del result.unpaid[row.id]
                elif row.status == "PAID":
                    result.to_paid.append(now - result.unpaid.pop(row.id))
                    result.paid += 1
                    result.last_paid = now
            if len(result.unpaid) < self._limit:
                self._room.set()
