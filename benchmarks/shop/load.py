"""Buyers who buy, and who look around before: a closed loop over N connections, held back so that no more than so many
orders are unpaid."""

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
PAGES_OF_PRODUCTS = 0.8
"""Of what is read; the rest is the reader's latest order, when there is one."""

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
    to_read: list[float] = field(default_factory=list)
    to_paid: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return self.paid / (self.last_paid - self.began) if self.paid else 0.0


class _Operation:
    """Its text is sent once, its hash ever after."""

    def __init__(self, name: str) -> None:
        query = (OPERATIONS / f"{name}.graphql").read_text()
        self._named = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
        self._query = query

    def first(self, **variables: Any) -> bytes:
        return orjson.dumps({"query": self._query, "variables": variables, "extensions": self._named})

    def ask(self, **variables: Any) -> bytes:
        return orjson.dumps({"variables": variables, "extensions": self._named})


@dataclass(frozen=True, slots=True)
class _Request:
    body: bytes
    token: str
    buys: bool


class Buying:
    """The load. ``reads``: the share of requests that only look."""

    def __init__(
        self,
        port: int,
        tickets: dict[str, Any],
        orders: Database,
        *,
        connections: int,
        unpaid: int,
        reads: float = 0.0,
    ) -> None:
        self._port = port
        self._orders = orders
        self._connections = connections
        self._limit = unpaid
        self._room = asyncio.Event()
        self._room.set()
        self._latest: dict[str, str] = {}
        self._order, self._product, self._mine = map(_Operation, ("place_order", "product_page", "read_order"))
        self._requests = self._make_requests(tickets, reads)
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
        """Make the operations known by their hashes. What is asked with them is refused: nothing is bought."""
        client = await Client.connect(self._port)
        for body in (self._order.first(input=None, key=""), self._product.first(slug=""), self._mine.first(id="")):
            await client.post(body)
        client.close()

    def _make_requests(self, tickets: dict[str, Any], reads: float) -> Iterator[_Request]:
        """Buyers take turns; each looks at something or buys one of something."""
        dice = random.Random(1)
        for buyer in itertools.cycle(tickets["buyers"]):
            if reads and dice.random() < reads:
                page = self._product.ask(slug=dice.choice(tickets["slugs"]), postalCode="06236")
                order = self._latest.get(buyer["token"])
                body = page if order is None or dice.random() < PAGES_OF_PRODUCTS else self._mine.ask(id=order)
                yield _Request(body, buyer["token"], buys=False)
                continue
            variant, total = dice.choice(tickets["offers"])
            wish = {
                "lines": [{"variantId": variant, "quantity": 1}],
                "addressId": buyer["address"],
                "paymentMethodId": buyer["method"],
                "expectedTotal": total,
            }
            yield _Request(self._order.ask(input=wish, key=secrets.token_hex(12)), buyer["token"], buys=True)

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
            request = next(self._requests)
            try:
                answer = await client.post(request.body, request.token)
                order_id = answer["data"]["orderCreate"]["order"]["id"] if request.buys else ""
                if "errors" in answer:
                    raise KeyError("errors")
            except (BadAnswer, TypeError, KeyError) as error:
                result.errors[str(error)[:200] if isinstance(error, BadAnswer) else str(answer)[:200]] += 1
                if isinstance(error, BadAnswer):
                    client.close()
                continue
            now = time.perf_counter()
            if not request.buys:
                result.to_read.append(now - began)
                continue
            self._latest[request.token] = order_id
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
