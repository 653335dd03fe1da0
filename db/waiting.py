"""Waiting for something, but not for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def until(event: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set, or after so many seconds (None: only when it is set).

    Not ``asyncio.wait_for``: on Python 3.11 it loses a cancellation that comes at the moment of the wake.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
