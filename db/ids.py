"""ULIDs, made quickly: a purchase makes fifty of them. https://github.com/ulid/spec"""

from __future__ import annotations

import os
import time
from datetime import datetime
from threading import Lock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_RANDOM_BITS = 80
_HEAD_SHIFTS = range(_RANDOM_BITS - 10, 0, -10)
"""All pairs of the random part but the last: those that many ids of a millisecond share."""

_lock = Lock()
_millisecond = 0
_prefix = ""
_head = ""
_random = 0


def new_ulid() -> str:
    """A fresh ULID: 26 characters that sort by the time they were made, in this process strictly."""
    global _millisecond, _prefix, _head, _random
    now = time.time_ns() // 1_000_000
    with _lock:
        if now > _millisecond:
            _millisecond = now
            _prefix = _time_part(now)
            # The first bit is left free: a millisecond never has so many that they would run over.
            _random = int.from_bytes(os.urandom(10)) >> 1
        else:  # the same millisecond, or the clock was set back: the next one
            _random += 1
            if _random & 1023:
                return _head + _PAIRS[_random & 1023]
        _head = _prefix + "".join([_PAIRS[_random >> shift & 1023] for shift in _HEAD_SHIFTS])
        return _head + _PAIRS[_random & 1023]


def first_ulid_at(instant: datetime) -> str:
    """The smallest ULID of a millisecond: what was made before has a smaller one."""
    return _time_part(max(int(instant.timestamp() * 1000), 0)) + "0" * 16


def _time_part(millisecond: int) -> str:
    return "".join([_PAIRS[millisecond >> shift & 1023] for shift in range(40, -1, -10)])
