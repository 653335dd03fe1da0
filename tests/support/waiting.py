"""Waiting for what happens elsewhere, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], object | Awaitable[object]], *, timeout: float = 20) -> None:
    """Return when ``condition`` (plain or async) gives something true. Raises AssertionError after ``timeout`` s."""
    deadline = time.monotonic() + timeout
    while True:
        outcome = condition()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.01)
