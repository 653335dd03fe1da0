"""The store that several routers share. One script looks up, so that what it gives belongs to one moment.

Under ``<prefix>purges`` lies a hash: ``clock``, ``floor``, ``server`` and the purges by ``=tag``. It is lost as a whole
or not at all, and when it is made anew its clock begins at the server's time in microseconds, later than any clock
before. So a flush empties the cache, and nothing that was on its way comes to count. It has no expiry: with more tags
than ``remembered`` it begins anew, as after a flush.

A server that starts from a snapshot, or a replica that takes over, may have entries but not the latest purges. Every
connection therefore begins by asking who the server is; where it is not the one that the hash knows, all begins anew.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar, cast

import orjson
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.executor.entity_cache.store import Entry, Found, Purge, Stamp, StoreDown

T = TypeVar("T")

_BEGIN = """
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local function begin()
  local first = string.format('%.0f', now[1] * 1000000 + now[2])
  redis.call('HSET', KEYS[1], 'clock', first, 'floor', first)
  return first
end
local clock = redis.call('HGET', KEYS[1], 'clock') or begin()
"""

LOOK_UP = (
    _BEGIN
    + """
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor'))
local function after(entry, purge)
  return entry[1] >= tonumber(purge[1]) and entry[2] >= tonumber(purge[2])
end
local function counts(entry)
  if entry[1] < floor then return false end
  if #entry[3] == 0 then return true end
  for i, text in ipairs(redis.call('HMGET', KEYS[1], unpack(entry[3]))) do
    if text then
      local purged = cjson.decode(text)
      local version = entry[4][entry[3][i]]
      if purged.blind and not after(entry, purged.blind) then return false end
      if purged.told then
        if version then
          if version < tonumber(purged.version) then return false end
        elseif not after(entry, purged.told) then return false end
      end
    end
  end
  return true
end
local found = {clock, at}
for i = 2, #KEYS do
  local text = redis.call('GET', KEYS[i])
  found[i + 1] = false
  if text then
    local line = string.find(text, '\\n', 1, true)
    if counts(cjson.decode(string.sub(text, 1, line - 1))) then
      found[i + 1] = string.sub(text, line + 1)
    end
  end
end
return found
"""
)

PURGE = (
    _BEGIN
    + """
clock = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'clock', 1))
-- As text: cjson writes numbers with fourteen digits, and the clock has more.
local stamp = {clock, string.format('%.0f', at + ARGV[1])}
for i = 3, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  local purged = known and cjson.decode(known) or {}
  if ARGV[i + 1] == '' then
    purged.blind = stamp
  else
    purged.told = stamp
    purged.version = string.format('%.0f', math.max(tonumber(purged.version or 0), tonumber(ARGV[i + 1])))
  end
  redis.call('HSET', KEYS[1], ARGV[i], cjson.encode(purged))
end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then
  local later = string.format('%.0f', clock + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'clock', later, 'floor', later)
end
return clock
"""
)


KNOW = """
local now = redis.call('TIME')
if redis.call('HGET', KEYS[1], 'server') ~= ARGV[1] then
  local first = string.format('%.0f', now[1] * 1000000 + now[2])
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'clock', first, 'floor', first, 'server', ARGV[1])
end
return 1
"""

_RUN_ID = re.compile(rb"run_id:(\w+)")


class RedisStore:
    """See ``Store``. A failure or ``timeout`` makes it rest for ``pause`` seconds: the router asks the subgraphs."""

    def __init__(
        self,
        url: str,
        *,
        hold: float = 0.0,
        remembered: int = 100_000,
        timeout: float = 0.05,
        pause: float = 1.0,
        prefix: str = "router:cache:",
    ) -> None:
        # More uses at once than connections wait for one, as long as a use may take; they are no failure.
        self._client: Redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                socket_connect_timeout=timeout * 4,
                socket_timeout=timeout * 4,
                max_connections=64,
                timeout=None,
                retry=Retry(NoBackoff(), 1),
                redis_connect_func=self._meet,
            )
        )
        self._look_up = self._client.register_script(LOOK_UP)
        self._purge = self._client.register_script(PURGE)
        self._hold = int(hold * 1000)
        self._remembered = remembered
        self._timeout = timeout
        self._pause = pause
        self._prefix = prefix.encode()
        self._rests_until = 0.0

    async def look_up(self, keys: Sequence[bytes]) -> Found:
        """See Store."""
        names = [self._prefix + b"purges", *(self._prefix + key for key in keys)]
        clock, at, *entries = cast(list[Any], await self._quickly(self._look_up(keys=names)))
        return Found(Stamp(int(clock), int(at)), entries)

    async def keep(self, stamp: Stamp, entries: Sequence[Entry]) -> None:
        """See Store."""
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            tags, versions = [_field(tag) for tag in entry.tags], {_field(tag): n for tag, n in entry.versions.items()}
            head = orjson.dumps([stamp.clock, stamp.at, tags, versions])
            pipeline.set(self._prefix + entry.key, head + b"\n" + entry.data, px=max(1, int(entry.seconds * 1000)))
        if entries:
            await self._quickly(pipeline.execute())

    async def purge(self, purges: Sequence[Purge]) -> None:
        """See Store. It does not rest and waits longer: a purge must not be missed."""
        arguments: list[Any] = [self._hold, self._remembered]
        for purge in purges:
            arguments += [_field(purge.tag), "" if purge.version is None else purge.version]
        try:
            await self._purge(keys=[self._prefix + b"purges"], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreDown(str(error)) from error

    async def close(self) -> None:
        """See Store."""
        await self._client.aclose()

    async def _meet(self, connection: Any) -> None:
        """Before a connection is used: is this still the server that has all purges?"""
        await connection.on_connect_check_health(check_health=True)
        await connection.send_command("INFO", "server")
        found = _RUN_ID.search(await connection.read_response())
        await connection.send_command("EVAL", KNOW, 1, self._prefix + b"purges", found[1] if found else b"")
        await connection.read_response()

    async def _quickly(self, asking: Awaitable[T]) -> T:
        if time.monotonic() < self._rests_until:
            cast(Any, asking).close()
            raise StoreDown("resting")
        try:
            async with asyncio.timeout(self._timeout):
                return await asking
        except (RedisError, OSError, TimeoutError) as error:
            self._rests_until = time.monotonic() + self._pause
            raise StoreDown(str(error)) from error


def _field(tag: str) -> str:
    """The tag's place in the hash: whatever it is called, it is not the clock."""
    return f"={tag}"
