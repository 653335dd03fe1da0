"""The fast path of claims: says no at once to those for whom nothing is left. A yes is only leave to ask the ledger.

What a gate knows is read from the ledger and forgotten after a few seconds. So it may be lost, flushed or wrong at any
time: too high, and the ledger refuses; too low (a process died between gate and ledger, a unit came back), and that
ends when it is read again. While nothing is known everyone is let through to the ledger.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError


class Verdict(enum.Enum):
    """ASK: let the ledger decide. UNKNOWN: the same, and the gate wants to be filled."""

    ASK = 1
    SOLD_OUT = 0
    UNKNOWN = -1


class Gate(Protocol):
    async def take(self, item_id: str, user_id: str, quantity: int) -> Verdict:
        """Count the units down if they are there. SOLD_OUT only for a user who keeps nothing: another may repeat a
        claim that he has got, and only the ledger knows."""

    async def begin_filling(self, item_id: str) -> bool:
        """Whether the caller is the one who fills the gate now."""

    async def fill(self, item_id: str, remaining: int, kept: Mapping[str, int]) -> None:
        """Know what the ledger says."""

    async def forget(self, item_id: str) -> None:
        """Units came back, or the ledger knew better: read it again."""


@dataclass
class _Known:
    remaining: int
    kept: dict[str, int]
    until: float = field(default=0)


class InProcessGate:
    """A gate of one process."""

    def __init__(self, keep_seconds: float) -> None:
        self._keep = keep_seconds
        self._known: dict[str, _Known] = {}

    async def take(self, item_id: str, user_id: str, quantity: int) -> Verdict:
        known = self._known.get(item_id)
        if known is None or time.monotonic() > known.until:
            return Verdict.UNKNOWN
        has = known.kept.get(user_id, 0)
        if has:
            return Verdict.ASK
        if known.remaining < quantity:
            return Verdict.SOLD_OUT
        known.remaining -= quantity
        known.kept[user_id] = quantity
        return Verdict.ASK

    async def begin_filling(self, item_id: str) -> bool:
        return True

    async def fill(self, item_id: str, remaining: int, kept: Mapping[str, int]) -> None:
        self._known[item_id] = _Known(remaining, dict(kept), time.monotonic() + self._keep)

    async def forget(self, item_id: str) -> None:
        self._known.pop(item_id, None)


# One script, so that nobody comes between the look and the count. "left" is the mark that the gate is filled.
_TAKE = """
local left = tonumber(redis.call('HGET', KEYS[1], 'left'))
if left == nil then return -1 end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
local quantity = tonumber(ARGV[2])
if left < quantity then return 0 end
redis.call('HSET', KEYS[1], 'left', left - quantity, ARGV[1], quantity)
return 1
"""


class RedisGate:
    """A gate that all processes share. Away or flushed it knows nothing, and the ledger is asked."""

    def __init__(self, client: Redis, keep_seconds: float) -> None:
        self._client = client
        self._keep = int(keep_seconds * 1000)
        self._take: Any = client.register_script(_TAKE)

    async def take(self, item_id: str, user_id: str, quantity: int) -> Verdict:
        try:
            return Verdict(int(await self._take(keys=[_key(item_id)], args=[f"u:{user_id}", quantity])))
        except RedisError:
            return Verdict.ASK

    async def begin_filling(self, item_id: str) -> bool:
        try:
            return bool(await self._client.set(f"{_key(item_id)}:filling", b"1", nx=True, px=1000))
        except RedisError:
            return False

    async def fill(self, item_id: str, remaining: int, kept: Mapping[str, int]) -> None:
        values: dict[Any, Any] = {"left": remaining, **{f"u:{user}": units for user, units in kept.items()}}
        try:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.delete(_key(item_id), f"{_key(item_id)}:filling")
                pipe.hset(_key(item_id), mapping=values)
                pipe.pexpire(_key(item_id), self._keep)
                await pipe.execute()
        except RedisError:
            return  # not filled: the ledger is asked

    async def forget(self, item_id: str) -> None:
        try:
            await self._client.delete(_key(item_id))
        except RedisError:
            return  # it forgets by itself


def _key(item_id: str) -> str:
    return f"dure:flash:{{{item_id}}}"
