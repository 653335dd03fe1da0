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

PAUSE_SECONDS = 1.0
"""Between attempts to listen while Redis is away."""


class Changes(Protocol):
    """Topics such as ``order:<ulid>``."""

    async def tell(self, topic: str) -> None:
        """Wake everyone who listens to the topic. Call it after the commit."""

    def listen(self, *topics: str) -> AsyncIterator[str]:
        """The topics told from now on. Several tellings of a topic that nobody has fetched yet are one."""


class InProcessChanges:
    """Changes within one process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Told]] = defaultdict(set)

    async def tell(self, topic: str) -> None:
        for told in self._listeners.get(topic, ()):
            told.add(topic)

    async def listen(self, *topics: str) -> AsyncIterator[str]:
        told = _Told()
        for topic in topics:
            self._listeners[topic].add(told)
        try:
            while True:
                yield await told.next()
        finally:
            for topic in topics:
                self._listeners[topic].discard(told)
                if not self._listeners[topic]:
                    del self._listeners[topic]


class _Told:
    """The topics that a listener has not fetched yet, each once, in the order of their first telling."""

    def __init__(self) -> None:
        self._topics: dict[str, None] = {}
        self._some = asyncio.Event()

    def add(self, topic: str) -> None:
        self._topics[topic] = None
        self._some.set()

    async def next(self) -> str:
        while not self._topics:
            self._some.clear()
            await self._some.wait()
        topic = next(iter(self._topics))
        del self._topics[topic]
        return topic


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
        while True:
            try:
                async with self._channels(topics) as channels:
                    while True:
                        message = await channels.get_message(ignore_subscribe_messages=True, timeout=30)
                        if message is not None:
                            yield message["channel"].decode().removeprefix(self._prefix)
            except redis.RedisError:
                await asyncio.sleep(PAUSE_SECONDS)
                for topic in topics:  # whatever was told meanwhile went unheard: look
                    yield topic

    @asynccontextmanager
    async def _channels(self, topics: tuple[str, ...]) -> AsyncIterator[redis.client.PubSub]:
        channels = self._client.pubsub()
        try:
            await channels.subscribe(*(self._prefix + topic for topic in topics))
            yield channels
        finally:
            await channels.aclose()  # type: ignore[no-untyped-call]


async def started(changes: AsyncIterator[str]) -> AsyncIterator[str]:
    """One telling at once, so that a listener sends what is true now, then those that come.

    It listens before the first: what changes while the listener takes its first look is told.
    """
    heard = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    try:
        yield ""
        while True:
            try:
                topic = await heard
            except StopAsyncIteration:
                return
            heard = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            yield topic
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
