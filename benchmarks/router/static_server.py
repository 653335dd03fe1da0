"""The four subgraphs as HTTP servers that cost next to nothing: ``python -m benchmarks.router.static_server PORT``.

An answer is computed once for each distinct request body, representations included, and then given from memory. So
any gateway may ask in its own words. One port each from PORT on; ``GET /count`` tells the requests so far.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import cast

import httptools
import orjson
import uvloop
from graphql import GraphQLSchema

from benchmarks.router.graph import SUBGRAPHS, subgraph_answer, subgraph_schema


@dataclass
class Served:
    """What the connections of one subgraph share."""

    schema: GraphQLSchema
    counts: list[int]
    known: dict[bytes, bytes] = field(default_factory=dict)

    def answer(self, body: bytes) -> bytes:
        if not body:
            return _response(str(self.counts[0]).encode())
        self.counts[0] += 1
        found = self.known.get(body)
        if found is None:
            request = orjson.loads(body)
            made = subgraph_answer(self.schema, request["query"], request.get("variables"))
            found = self.known[body] = _response(orjson.dumps(made))
        return found


class Connection(asyncio.Protocol):
    """HTTP/1.1, kept alive."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._transport.write(self._served.answer(self._body))


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def main(first_port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    counts = [0]
    for index, name in enumerate(SUBGRAPHS):
        served = Served(subgraph_schema(name), counts)
        await loop.create_server(lambda served=served: Connection(served), "127.0.0.1", first_port + index)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
