"""A client of the shop, as a browser would be one: HTTP, JSON, server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

OPERATIONS = Path(__file__).parent / "operations"
PLAN_HEADER = {"router-plan": "1"}


class Unexpected(Exception):
    """The shop's answer is not what it must be."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer took: requests to subgraphs, rounds of them that waited for one another, milliseconds."""

    fetches: int
    rounds: int
    subgraphs: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    data: dict[str, Any]
    cost: Cost | None


@cache
def operation(name: str) -> str:
    """The text of a demo operation."""
    return (OPERATIONS / f"{name}.graphql").read_text()


class Shop:
    """Talks to a running shop at ``url``. After ``log_in`` every request carries the access token."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._token: str | None = None

    def log_in(self, access_token: str) -> None:
        self._token = access_token

    async def ask(self, name: str, **variables: Any) -> Answer:
        """Run a demo operation. Raises Unexpected for any GraphQL error or user error."""
        return await self.ask_text(operation(name), **variables)

    async def raw(self, name: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to a demo operation, whatever it says."""
        return await self._send(operation(name), variables)

    async def _send(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = {"query": document, "variables": variables}
        async with self._session.post(f"{self._url}/graphql", json=body, headers=self._headers()) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def ask_text(self, document: str, **variables: Any) -> Answer:
        """Run an operation given as text. Raises Unexpected for any GraphQL error or user error."""
        began = time.perf_counter()
        answer = await self._send(document, variables)
        took = (time.perf_counter() - began) * 1000
        if answer.get("errors") or not answer.get("data"):
            raise Unexpected(json.dumps(answer.get("errors"), ensure_ascii=False))
        for root, value in answer["data"].items():
            if isinstance(value, dict) and value.get("userErrors"):
                raise Unexpected(f"{root}: {json.dumps(value['userErrors'], ensure_ascii=False)}")
        return Answer(answer["data"], _cost(answer, took))

    async def watch(self, name: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """The events of a demo subscription. Raises Unexpected for errors."""
        body = {"query": operation(name), "variables": variables}
        headers = self._headers() | {"accept": "text/event-stream"}
        async with self._session.post(f"{self._url}/graphql", json=body, headers=headers) as response:
            if response.status != 200:
                raise Unexpected(f"{name}: status {response.status}: {(await response.text())[:300]}")
            async for line in response.content:
                if line.startswith(b"data:") and line[5:].strip():
                    event = json.loads(line[5:])
                    if event.get("errors"):
                        raise Unexpected(f"{name}: {event['errors']}")
                    yield event["data"]

    async def get(self, path: str, **query: str) -> Any:
        """What a developer's start shows beside the graph."""
        async with self._session.get(self._url + path, params=query) as response:
            if response.status != 200:
                raise Unexpected(f"GET {path}: status {response.status}")
            return await response.json()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The provider's window, as the buyer's browser uses it."""
        async with self._session.post(self._url + path, json=body) as response:
            answer = await response.json()
            if response.status != 200:
                raise Unexpected(f"POST {path}: status {response.status}: {answer}")
            return answer

    def _headers(self) -> dict[str, str]:
        return PLAN_HEADER | ({"authorization": f"Bearer {self._token}"} if self._token else {})


def _cost(answer: dict[str, Any], milliseconds: float) -> Cost | None:
    plan = (answer.get("extensions") or {}).get("plan")
    if plan is None:
        return None
    return Cost(plan["fetches"], plan["rounds"], tuple(plan["subgraphs"]), milliseconds)
