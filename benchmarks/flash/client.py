"""How an app talks to the shop in a rush: it comes again after a while, and repeats with the same key what got no
answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import orjson

BUSY = frozenset(
    {
        "OVERLOADED",
        "RATE_LIMITED",
        "REQUEST_TIMEOUT",
        "SERVICE_UNAVAILABLE",
        "SUBGRAPH_HTTP_ERROR",
        "SUBGRAPH_OVERLOADED",
        "SUBGRAPH_TIMEOUT",
        "SUBGRAPH_UNAVAILABLE",
        "SUBGRAPH_UNREACHABLE",
    }
)
"""Codes of errors that say nothing about the request, only about the moment."""

LONGEST_PAUSE = 4.0


class Unexpected(Exception):
    """An answer that no customer should ever see."""


class Again(Exception):
    """There is no answer at the moment."""


class App:
    """Asks until there is an answer. ``again``: why it had to come again, and how often."""

    def __init__(self, url: str, session: aiohttp.ClientSession, streams: aiohttp.ClientSession | None = None) -> None:
        """``streams``: for subscriptions, which keep a connection each."""
        self._url = f"{url}/graphql"
        self._session = session
        self._streams = streams or session
        self.again: Counter[str] = Counter()
        self.requests = 0

    async def ask(self, document: str, token: str, /, **variables: Any) -> Any:
        """The answer's data. Raises Unexpected for errors that are no matter of the moment."""
        pause = 0.2
        while True:
            self.requests += 1
            try:
                data, why = await self._once(document, token, variables)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                data, why = None, type(error).__name__
            if why is None:
                return data
            self.again[why] += 1
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def watch(self, document: str, token: str, /, **variables: Any) -> AsyncIterator[Any]:
        """The data of a subscription's events, over and over when it breaks off, until the shop has completed it."""
        pause = 0.2
        while True:
            try:
                async with aclosing(self._stream(document, token, variables)) as events:
                    async for event in events:
                        pause = 0.2
                        yield event
                return
            except Again as why:
                self.again[f"stream: {why}"] += 1
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                self.again[f"stream: {type(error).__name__}"] += 1
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _stream(self, document: str, token: str, variables: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """One stream of server-sent events. Raises Again when it ends without having been completed."""
        headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        body = {"query": document, "variables": variables}
        self.requests += 1
        forever = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with self._streams.post(self._url, json=body, headers=headers, timeout=forever) as response:
            if response.status != 200:
                raise Again(f"HTTP {response.status}")
            async for line in response.content:
                if line.startswith(b"event: complete"):
                    return
                if line.startswith(b"data:") and line[5:].strip():
                    data, why = _told(orjson.loads(line[5:]), document)
                    if why is not None:
                        raise Again(why)
                    yield data
        raise Again("it broke off")

    async def _once(self, document: str, token: str, variables: dict[str, Any]) -> tuple[Any, str | None]:
        """The data, or why there is none at the moment."""
        headers = {"authorization": f"Bearer {token}"}
        body = {"query": document, "variables": variables}
        async with self._session.post(self._url, json=body, headers=headers) as response:
            if response.status in (429, 502, 503, 504):
                return None, f"HTTP {response.status}"
            answer = await response.json()
        return _told(answer, document)


def _told(answer: dict[str, Any], document: str) -> tuple[Any, str | None]:
    codes = {error.get("extensions", {}).get("code", "") for error in answer.get("errors", ())}
    if not codes:
        return answer["data"], None
    if codes <= BUSY:
        return None, "/".join(sorted(codes))
    raise Unexpected(f"{document[:60]}: {answer['errors']}")
