"""Whether the process should get requests, and what its operators want to know when it should not."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from router.pipeline.asgi import Send, send_whole

UP = b'{"status":"UP"}'
DOWN = b'{"status":"DOWN"}'


class Health:
    """State of one process. Subgraphs that are down do not matter: the router answers for the others."""

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self._served: dict[str, Any] | None = None
        self._served_since = 0.0
        self._refused: dict[str, Any] | None = None
        self._details: dict[str, Callable[[], Any]] = {}

    def serves(self, supergraph_sdl: str) -> None:
        """This supergraph is served from now on."""
        self._served = {"sha256": sha256(supergraph_sdl.encode()).hexdigest()}
        self._served_since = time.time()
        self._refused = None

    def refused(self, why: str) -> None:
        """Something new could not be served; the old goes on."""
        self._refused = {"reason": why, "at": time.time()}

    def settled(self) -> None:
        """What was refused is not wanted any more."""
        self._refused = None

    def add(self, name: str, detail: Callable[[], Any]) -> None:
        """Something more for the report: breaker states, for example. It must give what JSON can say."""
        self._details[name] = detail

    @property
    def accepts(self) -> bool:
        """Whether new requests should come here."""
        return self.ready and not self.draining

    def report(self) -> bytes:
        """Everything, as JSON."""
        report: dict[str, Any] = {"status": "UP" if self.accepts else "DOWN", "draining": self.draining}
        if self._served is not None:
            age = round(time.time() - self._served_since, 3)
            report["supergraph"] = {**self._served, "ageSeconds": age, "lastRefused": self._refused}
        for name, detail in self._details.items():
            report[name] = detail()
        return orjson.dumps(report)

    async def answer(self, send: Send, *, live: bool = False) -> None:
        """Answer a probe; with ``live``, whether the process is there at all."""
        up = live or self.accepts
        await send_whole(send, 200 if up else 503, b"application/json", UP if up else DOWN, [])
