"""Live changes: what a GraphQL subscription listens to. A hint that something changed, never the data itself.

A missed hint costs freshness, not truth: listeners read the database when one arrives.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Protocol

import redis.asyncio as redis
import structlog

from db.batching import GroupCommit

PAUSE_SECONDS = 1.0
"""Between attempts to listen while Redis is away."""

CONFIRM_SECONDS = 1.0
"""A listener that wants a first telling waits this long at most until it is known to hear."""

log = structlog.get_logger()


class Changes(Protocol):
    """Topics such as ``order:<ulid>``; a listener may give the beginning of some, ``order:*``."""

    async def tell(self, *topics: str) -> None:
        """Wake everyone who listens to one of the topics. Call it after the commit."""

    def listen(self, *topics: str, at_once: bool = False) -> AsyncGenerator[str, None]:
        """The topics told from now on. Several tellings of a topic that nobody has fetched yet are one.

        ``at_once``: first an empty telling, made when the listener hears; whoever takes a first look then misses
        nothing of what changes meanwhile.
        """


class InProcessChanges:
    """Changes within one process."""

    def __init__(self) -> None:
        self.board = Board()

    async def tell(self, *topics: str) -> None:
        for topic in topics:
            self.board.tell(topic)

    async def listen(self, *topics: str, at_once: bool = False) -> AsyncGenerator[str, None]:
        told = self.board.join(topics)
        try:
            if at_once:
                yield ""
            while True:
                yield await told.next()
        finally:
            self.board.leave(told, topics)


class RedisChanges:
    """Changes across processes, over Redis channels: one connection, however many listen.

    While Redis is away nothing is told and nothing fails; when it is back every listener looks once.
    """

    def __init__(self, client: redis.Redis, prefix: str = "dure:changes:") -> None:
        self.board = Board()
        self._client = client
        self._prefix = prefix
        self._ear = _Ear(client, prefix, self.board)
        self._tellings: GroupCommit[Sequence[str], None] = GroupCommit(self._publish, limit=512, weight=len)

    async def tell(self, *topics: str) -> None:
        await self._tellings.submit(topics)

    async def _publish(self, tellings: Sequence[Sequence[str]]) -> list[None]:
        """What is told at the same time goes in one round trip, a topic once."""
        topics = dict.fromkeys(topic for told in tellings for topic in told)
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for topic in topics:
                    pipeline.publish(self._prefix + topic, b"")
                await pipeline.execute()
        except redis.RedisError:
            log.debug("changes.not_told", topics=len(topics))  # a hint only: see above
        return [None] * len(tellings)

    async def listen(self, *topics: str, at_once: bool = False) -> AsyncGenerator[str, None]:
        told = self.board.join(topics)
        self._ear.tune()
        try:
            if at_once:
                await self._ear.until_heard(topics)
                yield ""
            while True:
                yield await told.next()
        finally:
            self.board.leave(told, topics)
            self._ear.tune()


class Board:
    """Who listens to what in this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[_Told]] = defaultdict(set)
        self._beginnings: dict[str, set[_Told]] = defaultdict(set)

    @property
    def topics(self) -> set[str]:
        """All that somebody listens to."""
        return {*self._listeners, *self._beginnings}

    def tell(self, topic: str) -> None:
        """Wake those who listen to the topic."""
        for told in self._listeners.get(topic, ()):
            told.add(topic)
        for beginning, all_told in self._beginnings.items():
            if topic.startswith(beginning[:-1]):
                for told in all_told:
                    told.add(topic)

    def join(self, topics: tuple[str, ...]) -> _Told:
        """A new listener."""
        told = _Told()
        for topic in topics:
            self._of(topic)[topic].add(told)
        return told

    def leave(self, told: _Told, topics: tuple[str, ...]) -> None:
        """Forget a listener."""
        for topic in topics:
            listeners = self._of(topic)
            listeners[topic].discard(told)
            if not listeners[topic]:
                del listeners[topic]

    def _of(self, topic: str) -> dict[str, set[_Told]]:
        return self._beginnings if topic.endswith("*") else self._listeners


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


class _Ear:
    """The connection that hears for a whole process; it lives as long as anybody listens."""

    def __init__(self, client: redis.Redis, prefix: str, board: Board) -> None:
        self._client = client
        self._prefix = prefix
        self._board = board
        self._wanted = asyncio.Event()
        self._heard: set[str] = set()
        self._confirmed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def tune(self) -> None:
        """Follow a change of the board: soon, and many at once."""
        self._wanted.set()
        if self._board.topics and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._live())

    async def until_heard(self, topics: tuple[str, ...]) -> None:
        """Return when Redis has confirmed these topics, or after a while without it."""
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                while not self._heard.issuperset(topics):
                    self._confirmed.clear()
                    await self._confirmed.wait()
        except TimeoutError:
            log.warning("changes.not_confirmed", topics=len(topics))

    async def _live(self) -> None:
        while self._board.topics:
            channels = self._client.pubsub()
            try:
                async with asyncio.TaskGroup() as group:
                    await channels.connect()  # type: ignore[no-untyped-call]
                    hearing = group.create_task(self._hear(channels))
                    await self._follow(channels)
                    hearing.cancel()
            except* redis.RedisError:
                await asyncio.sleep(PAUSE_SECONDS)
            finally:
                self._heard.clear()
                await channels.aclose()  # type: ignore[no-untyped-call]
            for topic in self._board.topics:  # whatever was told meanwhile went unheard: look
                self._board.tell(topic)

    async def _follow(self, channels: redis.client.PubSub) -> None:
        """Subscribe to what is on the board and nothing else; return when it is empty."""
        asked: set[str] = set()
        while topics := self._board.topics:
            self._wanted.clear()
            added, gone = topics - asked, asked - topics
            await self._command(channels.subscribe, channels.psubscribe, added)
            await self._command(channels.unsubscribe, channels.punsubscribe, gone)
            self._heard -= gone
            asked = topics
            await self._wanted.wait()

    async def _command(self, exact: _Command, pattern: _Command, topics: set[str]) -> None:
        if named := [self._prefix + topic for topic in topics if not topic.endswith("*")]:
            await exact(*named)
        if beginnings := [self._prefix + topic for topic in topics if topic.endswith("*")]:
            await pattern(*beginnings)

    async def _hear(self, channels: redis.client.PubSub) -> None:
        while True:
            message = await channels.get_message(timeout=30)
            if message is None:
                continue
            topic = message["channel"].decode().removeprefix(self._prefix)
            if message["type"] in ("message", "pmessage"):
                self._board.tell(topic)
            elif message["type"] in ("subscribe", "psubscribe"):
                self._heard.add(topic)
                self._confirmed.set()


class _Command(Protocol):
    def __call__(self, *channels: str) -> Awaitable[object]: ...
