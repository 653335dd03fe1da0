"""Following a supergraph's changes."""

from __future__ import annotations

import asyncio
import logging

import pytest

from router.errors import SupergraphError
from router.pipeline.supergraph_source import follow


async def test_what_is_new_is_served_and_what_is_bad_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Unchanged: nothing; bad: reported once for as long as it stays; good again: served."""
    found = iter(["one", "two", "bad", "bad", "two", "three"])
    served: list[str] = []
    last = asyncio.Event()

    async def load() -> str:
        sdl = next(found, None)
        if sdl is None:
            last.set()
            await asyncio.Event().wait()
        return str(sdl)

    def serve(sdl: str) -> None:
        if sdl == "bad":
            raise SupergraphError("not served")
        served.append(sdl)

    with caplog.at_level(logging.WARNING):
        following = asyncio.create_task(follow(load, serve, "one", 0))
        async with asyncio.timeout(5):
            await last.wait()
        following.cancel()
    assert served == ["two", "three"]
    assert len([record for record in caplog.records if "not served" in record.getMessage()]) == 1
