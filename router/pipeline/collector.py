"""Python's collector of cyclic garbage, set for a process that answers requests."""

from __future__ import annotations

import gc


def spare_collector() -> None:
    """Let Python look for cyclic garbage seldom.

    Answers are trees of thousands of objects and go when their last reference does; looking through all that are under
    way, again and again, was half of the processor time of large answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
