"""A load generator: kept-alive connections, each sends its next request when it has its answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import httptools
import orjson


@dataclass
class Load:
    """One run. ``bodies`` keeps every different answer that was seen."""

    request: bytes
    left: int
    started: int = 0
    done: int = 0
    latencies: list[float] = field(default_factory=list)
    bodies: set[bytes] = field(default_factory=set)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, finished: asyncio.Future[None]) -> None:
        self._load = load
        self._finished = finished
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._next()

    def _next(self) -> None:
        if self._load.started >= self._load.left:
            self._transport.close()
            return
        self._load.started += 1
        self._parser = httptools.HttpResponseParser(self)
        self._body = []
        self._began = time.perf_counter()
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        load = self._load
        load.latencies.append(time.perf_counter() - self._began)
        load.bodies.add(b"".join(self._body))
        load.done += 1
        if load.done == load.left and not self._finished.done():
            self._finished.set_result(None)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.done < self._load.left and self._load.started < self._load.left and not self._finished.done():
            self._finished.set_exception(exc or ConnectionError("the gateway closed a connection"))


async def run(port: int, query: str, connections: int, requests: int) -> Load:
    """Send ``requests`` requests over ``connections`` connections."""
    body = orjson.dumps({"query": query})
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    load = Load(head.encode() + body, requests)
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    for _ in range(min(connections, requests)):
        await loop.create_connection(lambda: Client(load, finished), "127.0.0.1", port)
    await asyncio.wait_for(finished, 300)
    return load
