"""People who use the shop by its REST endpoints only."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.dure.shop import ShopProcess


class Rest:
    """A caller with an access token, or none."""

    def __init__(self, session: aiohttp.ClientSession, used: set[str]) -> None:
        self._session = session
        self.used = used
        """The calls that answered as they must."""
        self.token: str | None = None

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: str
    ) -> tuple[int, Any]:
        """Status and body of the answer."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if key is not None:
            headers["idempotency-key"] = key
        async with self._session.request(method, path, json=body, headers=headers, params=query) as response:
            return response.status, await response.json(content_type=None)

    async def done(self, call: str, body: Any = None, *, status: int = 200, keyed: bool = False, **values: str) -> Any:
        """The body of an answer that must have this status. ``call``: method and template; ``values`` fill it in."""
        method, _, template = call.partition(" ")
        key = secrets.token_hex(8) if keyed else None
        got, answer = await self.send(method, template.format(**values), body, key=key)
        assert got == status, f"{call}: {got} {answer}"
        self.used.add(call)
        return answer

    async def log_in(self, email: str, password: str) -> dict[str, Any]:
        """Log in; the tokens."""
        tokens: dict[str, Any] = await self.done("POST /member/login", {"email": email, "password": password})
        self.token = tokens["accessToken"]
        return tokens


@asynccontextmanager
async def people(shop: ShopProcess, count: int) -> AsyncIterator[tuple[Rest, ...]]:
    """Callers of a running shop who share the list of what they used."""
    used: set[str] = set()
    async with aiohttp.ClientSession(shop.url, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield tuple(Rest(session, used) for _ in range(count))


def demo_password(shop: ShopProcess) -> str:
    """The password of the demo's people."""
    return str(json.loads((shop.folder / "secrets.json").read_text())["DURE_DEMO_PASSWORD"])
