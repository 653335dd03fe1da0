"""Any transport, made bearable: bounded in time and number, tried again where that helps, left alone while it fails.

A fetch has the subgraph's timeout, or what is left of the request if that is less; waits and retries are within it.
A mutation that was sent is never sent twice and never cut off: the router stops waiting for it, and it goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from router.errors import RequestErrorCode, SubgraphError
from router.executor.passthrough import RawTransport
from router.executor.resilience.breaker import Breaker, BreakerLimits, Outcome, State
from router.executor.resilience.bulkhead import Bulkhead, BulkheadLimits, Full
from router.executor.resilience.cutoff import Cutoff
from router.executor.resilience.retry import RetryBudget, RetryLimits, pause
from router.executor.transport import SubgraphRequest, SubgraphResponse, Transport

T = TypeVar("T")
Send = Callable[[SubgraphRequest], Awaitable[T]]

FAIR = 0.5
"""A timeout tells against a subgraph if it had at least this share of its own timeout."""


@dataclass(frozen=True, slots=True)
class Guards:
    """Everything that bounds the calls of one subgraph; times in seconds. ``streams``: subscriptions at once."""

    timeout: float = 3.0
    retry: RetryLimits = field(default_factory=RetryLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    bulkhead: BulkheadLimits = field(default_factory=BulkheadLimits)
    streams: int = 1_000


class GuardedTransport:
    """A transport with a breaker, a bulkhead, a retry budget and a deadline."""

    def __init__(
        self,
        transport: Transport,
        guards: Guards,
        changed: Callable[[State], None] | None = None,
    ) -> None:
        """``changed`` hears of the breaker's states."""
        self.inner = transport
        self._guards = guards
        self._breaker = Breaker(guards.breaker, changed)
        self._bulkhead = Bulkhead(guards.bulkhead)
        self._budget = RetryBudget(guards.retry.budget)
        self._cutoff = Cutoff()
        self._streams = 0
        self._unheard: set[asyncio.Task[Any]] = set()
        self.trusted: bool = getattr(transport, "trusted", False)

    @property
    def state(self) -> State:
        """The breaker's."""
        return self._breaker.state

    def execute(self, request: SubgraphRequest) -> Coroutine[Any, Any, SubgraphResponse]:
        """Run a query or a mutation. Raises SubgraphError."""
        call = self._mutation if request.kind == "mutation" else self._query
        return call(request, self.inner.execute)

    def execute_raw(self, request: SubgraphRequest) -> Coroutine[Any, Any, bytes | memoryview]:
        """Run a query and give the body as it came. Raises SubgraphError."""
        return self._query(request, cast(RawTransport, self.inner).execute_raw)

    async def subscribe(self, request: SubgraphRequest) -> AsyncGenerator[SubgraphResponse, None]:
        """Run a subscription. Raises SubgraphError.

        Streams live for hours: they have a bulkhead of their own and do not count for the breaker, but none is begun
        while it is open.
        """
        if self._breaker.state is State.OPEN and (wait := self._breaker.wait(time.monotonic())) > 0:
            raise _unavailable(wait)
        if self._streams >= self._guards.streams:
            raise _overloaded()
        self._streams += 1
        try:
            events = cast(AsyncGenerator[SubgraphResponse, None], self.inner.subscribe(request))
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            self._streams -= 1

    async def close(self) -> None:
        """Close the transport; mutations that nobody waits for any more are ended."""
        for task in self._unheard:
            task.cancel()
        await asyncio.gather(*self._unheard, return_exceptions=True)
        await self.inner.close()

    async def _query(self, request: SubgraphRequest, send: Send[T]) -> T:
        limit, fair = self._bounds(request)
        self._budget.earn()
        retry = 0
        while True:
            try:
                return await self._try(request, send, limit, fair)
            except SubgraphError as error:
                if not error.again or retry >= self._guards.retry.attempts:
                    raise
                wait = pause(self._guards.retry, retry, random.random, error.retry_after)
                if time.monotonic() + wait >= limit or not self._budget.spend():
                    raise
            retry += 1
            await asyncio.sleep(wait)

    async def _mutation(self, request: SubgraphRequest, send: Send[T]) -> T:
        limit, fair = self._bounds(request)
        return await self._to_its_end(self._try(request, send, limit, fair), limit - time.monotonic())

    def _bounds(self, request: SubgraphRequest) -> tuple[float, bool]:
        """When the answer comes too late, and whether that may be held against the subgraph."""
        started = time.monotonic()
        timeout = self._guards.timeout
        limit = started + timeout
        if request.deadline is None or request.deadline >= limit:
            return limit, True
        return request.deadline, request.deadline - started >= timeout * FAIR

    async def _try(self, request: SubgraphRequest, send: Send[T], limit: float, fair: bool) -> T:
        """One attempt, with a place and the breaker's leave; a mutation's has no limit of its own."""
        ticket = self._breaker.enter(time.monotonic())
        if ticket is None:
            raise _unavailable(self._breaker.wait(time.monotonic()))
        outcome = Outcome.ABANDONED
        request.deadline = limit  # so that the subgraph can be told
        try:
            if not self._bulkhead.take():
                await self._bulkhead.enter()
            try:
                answer = await self._sent(request, send, limit)
                outcome = Outcome.SUCCESS
                return answer
            finally:
                self._bulkhead.leave()
        except Full:
            raise _overloaded() from None
        except TimeoutError:
            outcome = Outcome.FAILURE if fair else Outcome.ABANDONED
            raise _too_late() from None
        except SubgraphError as error:
            unfair = error.refused or (error.code is RequestErrorCode.SUBGRAPH_TIMEOUT and not fair)
            outcome = Outcome.ABANDONED if unfair else Outcome.FAILURE
            raise
        finally:
            self._breaker.leave(ticket, time.monotonic(), outcome)

    async def _sent(self, request: SubgraphRequest, send: Send[T], limit: float) -> T:
        if time.monotonic() >= limit:
            # The caller has been told that nothing came of it: it must not happen now.
            raise TimeoutError
        if request.kind == "mutation":
            return await send(request)
        with self._cutoff.at(limit):
            return await send(request)

    async def _to_its_end(self, work: Awaitable[T], seconds: float) -> T:
        """Wait so long for a mutation. It is not stopped when its time is over or the client has left."""
        task = asyncio.ensure_future(work)
        self._unheard.add(task)
        task.add_done_callback(self._heard)
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            raise _too_late()
        return task.result()

    def _heard(self, task: asyncio.Task[Any]) -> None:
        self._unheard.discard(task)
        if not task.cancelled():
            task.exception()  # taken, else the loop complains of an error that nobody waits for


def _unavailable(wait: float) -> SubgraphError:
    message = "The subgraph fails too often and is left alone for a while."
    return SubgraphError(RequestErrorCode.SUBGRAPH_UNAVAILABLE, message, retry_after=max(wait, 0.1))


def _overloaded() -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_OVERLOADED, "The subgraph has too much to do.", retry_after=1.0)


def _too_late() -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "The subgraph did not answer in time.")
