"""How an app talks to the shop in a rush: it comes again after a while, and repeats with the same key what got no
answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import aiohttp

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


class App:
    """Asks until there is an answer. ``again``: why it had to come again, and how often."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{url}/graphql"
        self._session = session
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

    async def _once(self, document: str, token: str, variables: dict[str, Any]) -> tuple[Any, str | None]:
        """The data, or why there is none at the moment."""
        headers = {"authorization": f"Bearer {token}"}
        body = {"query": document, "variables": variables}
        async with self._session.post(self._url, json=body, headers=headers) as response:
            if response.status in (429, 502, 503, 504):
                return None, f"HTTP {response.status}"
            answer = await response.json()
        codes = {error.get("extensions", {}).get("code", "") for error in answer.get("errors", ())}
        if not codes:
            return answer["data"], None
        if codes <= BUSY:
            return None, "/".join(sorted(codes))
        raise Unexpected(f"{document[:60]}: {answer['errors']}")
