"""Group commit: commands that arrive while a batch is being committed become the next batch."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from db import deadline
from db.deadline import Deadline, TooLate
from db.waiting import until

C = TypeVar("C")
R = TypeVar("R")

REST_SECONDS = 0.2
"""At most, between two batches."""


class GroupCommit(Generic[C, R]):
    """Hands concurrent commands to ``run`` in batches, so that many share one transaction.

    ``run`` gives a result or an exception for each command, in order. If it raises for a batch, every command of the
    batch is run alone: one that breaks the transaction does not take the others with it. Nobody waits for a batch to
    fill: an idle batcher runs a single command at once. After a batch it rests as long as that one took (REST_SECONDS
    at most) or until the next is full: the slower everything is, the larger batches become, and the cheaper a command.
    Commands of a batch weigh ``limit`` at most together. One whose deadline passes before its batch begins is not run
    (TooLate); a batch that has begun belongs to all in it.
    """

    def __init__(
        self,
        run: Callable[[Sequence[C]], Awaitable[Sequence[R | Exception]]],
        *,
        limit: int = 64,
        weight: Callable[[C], int] = lambda _: 1,
    ) -> None:
        self._run = run
        self._limit = limit
        self._weight = weight
        self._rested_at = 0.0
        self._load = 0
        self._full = asyncio.Event()
        self._waiting: deque[tuple[C, asyncio.Future[R], Deadline | None]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, command: C) -> R:
        """The command's result; raises the exception that ``run`` gave for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future, deadline.present()))
        self._load += self._weight(command)
        if self._load >= self._limit:
            self._full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), context=deadline.without())
        result = await future
        deadline.lasting()
        return result

    async def _work(self) -> None:
        while self._waiting:
            await self._rest()
            batch = self._take()
            if not batch:
                return
            began = time.monotonic()
            await self._run_batch(batch)
            ended = time.monotonic()
            self._rested_at = ended + min(ended - began, REST_SECONDS)

    async def _rest(self) -> None:
        """Until the time is up, or a batch is full."""
        self._full.clear()
        if self._load < self._limit and (early := self._rested_at - time.monotonic()) > 0:
            await until(self._full, early)

    async def _run_batch(self, batch: Sequence[tuple[C, asyncio.Future[R]]]) -> None:
        try:
            results = await self._run([command for command, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
            else:
                await self._one_by_one(batch)
            return
        for (_, future), result in zip(batch, results, strict=True):
            _settle(future, result)

    def _take(self) -> list[tuple[C, asyncio.Future[R]]]:
        """The next batch: whoever waits longest, however heavy, and those after it as far as there is room."""
        batch: list[tuple[C, asyncio.Future[R]]] = []
        room = self._limit
        while self._waiting:
            command, future, due = self._waiting[0]
            if due is not None and due.over:
                _settle(future, TooLate())
            elif (room := room - self._weight(command)) >= 0 or not batch:
                batch.append((command, future))
            else:
                break
            self._waiting.popleft()
            self._load -= self._weight(command)
        return batch

    async def _one_by_one(self, batch: Sequence[tuple[C, asyncio.Future[R]]]) -> None:
        for command, future in batch:
            try:
                (result,) = await self._run([command])
            except Exception as error:
                _settle(future, error)
            else:
                _settle(future, result)


def _settle(future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():  # the caller has gone; the command's effect stands
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
