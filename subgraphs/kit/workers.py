"""Background work of a subgraph: loops that run beside its API, in the same process or in one of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from db import telemetry
from db.waiting import until

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Worker:
    """``run`` goes on until it is cancelled."""

    name: str
    run: Callable[[], Awaitable[None]]


class Alarm:
    """Wakes a loop before its time. Ringing it many times before the loop looks is ringing it once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Until somebody rings, or for ``seconds`` at most."""
        try:
            await until(self._event, seconds)
        finally:
            self._event.clear()


async def repeat(name: str, work: Callable[[], Awaitable[object]], *, every: float, alarm: Alarm | None = None) -> None:
    """``work`` now, then every ``every`` seconds or when the alarm rings; a failure is logged and tried again later."""
    bell = alarm or Alarm()
    failures = 0
    while True:
        try:
            await work()
            failures = 0
        except Exception as error:
            failures += 1
            log.warning("worker.failed", worker=name, failures=failures, error=repr(error))
        pause = every if not failures else min(every * 2**failures, 30.0) * random.uniform(0.5, 1.0)
        await bell.wait(pause)


async def supervise(workers: list[Worker]) -> None:
    """Run all workers until cancelled; one that ends by an error is logged and started again after a second."""

    async def keep(worker: Worker) -> None:
        meters = telemetry.meters()
        telemetry.begin(lambda each: each.restarts, worker.name)
        while True:
            try:
                if meters is not None:
                    meters.workers.labels(worker.name).set(1)
                await worker.run()
            except Exception:
                telemetry.count(lambda each: each.restarts, 1, worker.name)
                log.exception("worker.crashed", worker=worker.name)
                await asyncio.sleep(1)
            else:
                return
            finally:
                if meters is not None:
                    meters.workers.labels(worker.name).set(0)

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(keep(worker), name=worker.name)


@asynccontextmanager
async def running(workers: list[Worker]) -> AsyncIterator[None]:
    """Workers run while the block runs."""
    task = asyncio.create_task(supervise(workers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
