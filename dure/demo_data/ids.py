"""Ids and chance that come out the same every time."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

from ulid import ULID

SEED = "dure"
EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
"""When the first of the demo's people registered."""


def ulid_of(kind: str, key: str | int) -> str:
    """The id of this thing: made long ago, always the same."""
    digest = hashlib.blake2b(f"{SEED}:{kind}:{key}".encode(), digest_size=12).digest()
    moment = EPOCH + timedelta(seconds=int.from_bytes(digest[:2], "big"))
    milliseconds = int(moment.timestamp() * 1000)
    return str(ULID(milliseconds.to_bytes(6, "big") + digest[2:]))


def chance(about: str) -> random.Random:
    """Random numbers that depend only on what they are about: adding a product changes no other."""
    return random.Random(f"{SEED}:{about}")
