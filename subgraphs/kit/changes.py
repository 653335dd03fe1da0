"""Live changes: what a GraphQL subscription listens to. A hint that something changed, never the data itself.

A missed hint costs freshness, not truth: listeners read the database when one arrives.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import redis.asyncio as redis


class Changes(Protocol):
    """Topics such as ``order:<ulid>``."""

    async def tell(self, topic: str) -> None:
        """Wake everyone who listens to the topic. Call it after the commit."""

    def listen(self, *topics: str) -> AsyncIterator[str]:
        """The topics told from now on. Several tellings of a topic that nobody has fetched yet are one."""


class InProcessChanges:
    """Changes within one process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    async def tell(self, topic: str) -> None:
        for queue in self._listeners.get(topic, ()):
            if queue.empty():
                queue.put_nowait(topic)

    async def listen(self, *topics: str) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        for topic in topics:
            self._listeners[topic].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            for topic in topics:
                self._listeners[topic].discard(queue)
                if not self._listeners[topic]:
                    del self._listeners[topic]


class RedisChanges:
    """Changes across processes, over Redis channels. While Redis is away nothing is told and nothing fails."""

    def __init__(self, client: redis.Redis, prefix: str = "dure:changes:") -> None:
        self._client = client
        self._prefix = prefix

    async def tell(self, topic: str) -> None:
        try:
            await self._client.publish(self._prefix + topic, b"")
        except redis.RedisError:
            return  # a hint only: see above

    async def listen(self, *topics: str) -> AsyncIterator[str]:
        async with self._channels(topics) as channels:
            while True:
                message = await channels.get_message(ignore_subscribe_messages=True, timeout=30)
                if message is not None:
                    yield message["channel"].decode().removeprefix(self._prefix)

    @asynccontextmanager
    async def _channels(self, topics: tuple[str, ...]) -> AsyncIterator[redis.client.PubSub]:
        channels = self._client.pubsub()
        await channels.subscribe(*(self._prefix + topic for topic in topics))
        try:
            yield channels
        finally:
            await channels.aclose()  # type: ignore[no-untyped-call]


async def started(changes: AsyncIterator[str]) -> AsyncIterator[str]:
    """One telling at once, so that a listener sends what is true now, then those that come."""
    yield ""
    async for topic in changes:
        yield topic
