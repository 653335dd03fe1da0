"""Python's collector of cyclic garbage, set for a process that answers requests."""

from __future__ import annotations

import asyncio
import gc


def spare_collector() -> None:
    """Let Python look for cyclic garbage seldom.

    Answers are trees of thousands of objects and go when their last reference does; looking through all that are under
    way, again and again, was half of the processor time of large answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def collect_later(before: asyncio.TimerHandle | None, seconds: float) -> asyncio.TimerHandle:
    """Look once, when what has just been replaced is used by nobody any more; in place of the look planned ``before``.

    A schema is a net of cycles: unlooked for, every reload would leave one behind. It takes a few tenths of a second.
    """
    if before is not None:
        before.cancel()
    return asyncio.get_running_loop().call_later(seconds, gc.collect)
