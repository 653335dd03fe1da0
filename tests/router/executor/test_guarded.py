"""A guarded transport: deadlines, retries, the breaker and the bulkhead as callers see them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import RequestErrorCode, SubgraphError
from router.executor.resilience.breaker import BreakerLimits, State
from router.executor.resilience.bulkhead import BulkheadLimits
from router.executor.resilience.guarded import GuardedTransport, Guards
from router.executor.resilience.retry import RetryBudget, RetryLimits, pause, retry_after
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.query_plan.nodes import OperationKind

QUICK = RetryLimits(shortest=0.001, longest=0.004)
OK = SubgraphResponse({})
Execute = Callable[[SubgraphRequest], Awaitable[SubgraphResponse]]


def request(kind: OperationKind = "query", deadline: float | None = None) -> SubgraphRequest:
    return SubgraphRequest("{a}", None, None, {}, kind, deadline)


def unreachable(retry_after: float | None = None) -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_UNREACHABLE, "gone", again=True, retry_after=retry_after)


class Flaky:
    """Fails as often as told, then answers."""

    def __init__(self, failures: int, error: SubgraphError | None = None) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error or unreachable()

    async def __call__(self, _: SubgraphRequest) -> SubgraphResponse:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return OK


async def forever(_: SubgraphRequest) -> SubgraphResponse:
    await asyncio.Event().wait()
    raise AssertionError("never")


def guarded(execute: Execute, **guards: object) -> GuardedTransport:
    return GuardedTransport(InProcessTransport(execute), Guards(**{"retry": QUICK, **guards}))  # type: ignore[arg-type]


async def code(transport: GuardedTransport, sent: SubgraphRequest | None = None) -> str:
    with pytest.raises(SubgraphError) as raised:
        await transport.execute(sent or request())
    return raised.value.code


async def test_queries_are_tried_three_times_and_mutations_once() -> None:
    """Two retries for a query; a mutation is never sent again, whatever happened to it."""
    twice, thrice, once = Flaky(2), Flaky(3), Flaky(1)
    assert await guarded(twice).execute(request()) is OK
    assert await code(guarded(thrice)) == "SUBGRAPH_UNREACHABLE"
    assert thrice.calls == 3
    assert await code(guarded(once), request("mutation")) == "SUBGRAPH_UNREACHABLE"
    assert once.calls == 1


async def test_what_would_fail_again_is_not_tried_again() -> None:
    """An answer that is nonsense, for example."""
    nonsense = Flaky(1, SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, "nonsense"))
    assert await code(guarded(nonsense)) == "SUBGRAPH_MALFORMED_RESPONSE"
    assert nonsense.calls == 1


async def test_no_retry_outlives_the_deadline() -> None:
    """A subgraph that asks for more patience than there is left is not asked again."""
    busy = Flaky(1, unreachable(retry_after=60))
    assert await code(guarded(busy)) == "SUBGRAPH_UNREACHABLE"
    assert busy.calls == 1


async def test_retries_are_a_tenth_of_the_requests() -> None:
    """With everything failing, the subgraph gets 110 % of the load and a burst, not 300 %."""
    dead = Flaky(10_000)
    transport = guarded(dead, breaker=BreakerLimits(calls=100_000))
    await asyncio.gather(*(code(transport) for _ in range(60)))
    assert dead.calls <= 60 * 1.1 + 10


async def test_a_query_is_cut_off_at_its_deadline_and_told_of_it() -> None:
    """The request's deadline counts where it is earlier than the subgraph's timeout; the subgraph hears how much."""
    heard: list[float] = []

    async def listen(sent: SubgraphRequest) -> SubgraphResponse:
        assert sent.deadline is not None
        heard.append(sent.deadline - started)
        return await forever(sent)

    started = time.monotonic()
    assert await code(guarded(listen), request(deadline=started + 0.05)) == "SUBGRAPH_TIMEOUT"
    assert time.monotonic() - started < 1
    assert heard == [pytest.approx(0.05)]


async def test_a_mutation_goes_on_when_nobody_waits() -> None:
    """At its deadline the client is told; what was begun is not cut off in the middle."""
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(_: SubgraphRequest) -> SubgraphResponse:
        await go.wait()
        done.set()
        return OK

    transport = guarded(slow, timeout=0.02)
    assert await code(transport, request("mutation")) == "SUBGRAPH_TIMEOUT"
    go.set()
    await asyncio.wait_for(done.wait(), 5)


async def test_a_mutation_whose_time_is_over_is_not_begun() -> None:
    """Waiting in the queue it was given up; it must not happen afterwards."""
    begun: list[str] = []
    started, free = asyncio.Event(), asyncio.Event()

    async def hold(sent: SubgraphRequest) -> SubgraphResponse:
        begun.append(sent.kind)
        started.set()
        await free.wait()
        return OK

    transport = guarded(hold, bulkhead=BulkheadLimits(1, 1, 5.0))
    first = asyncio.create_task(transport.execute(request()))
    await started.wait()
    assert await code(transport, request("mutation", time.monotonic() + 0.02)) == "SUBGRAPH_TIMEOUT"
    free.set()
    await first
    await transport.execute(request())
    assert begun == ["query", "query"]
    await transport.close()


async def test_a_query_whose_time_is_over_is_not_sent() -> None:
    """Earlier fetches of the same answer have used it up."""
    never = Flaky(0)
    assert await code(guarded(never), request(deadline=time.monotonic() - 1)) == "SUBGRAPH_TIMEOUT"
    assert never.calls == 0


async def test_the_bulkhead_runs_some_queues_some_and_refuses_the_rest() -> None:
    """One running, one waiting, the third is refused at once; a freed place goes to who waits."""
    free = asyncio.Event()

    async def hold(_: SubgraphRequest) -> SubgraphResponse:
        await free.wait()
        return OK

    transport = guarded(hold, bulkhead=BulkheadLimits(1, 1, 5.0))
    two = [asyncio.create_task(transport.execute(request())) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await code(transport) == "SUBGRAPH_OVERLOADED"
    free.set()
    assert await asyncio.gather(*two) == [OK, OK]


async def test_an_open_breaker_answers_at_once_and_says_when() -> None:
    """No call is made, and the error tells when one may be."""
    states: list[State] = []
    dead = Flaky(10_000)
    guards = Guards(retry=RetryLimits(attempts=0), breaker=BreakerLimits(calls=4))
    transport = GuardedTransport(InProcessTransport(dead), guards, states.append)
    for _ in range(4):
        await code(transport)
    with pytest.raises(SubgraphError) as raised:
        await transport.execute(request())
    assert raised.value.code == "SUBGRAPH_UNAVAILABLE"
    assert 4 < (raised.value.retry_after or 0) <= 5
    assert dead.calls == 4
    assert states == [State.OPEN]


async def test_clients_that_leave_do_not_open_the_breaker() -> None:
    """Cancelled calls, and nothing else, happen: the next call is made."""
    transport = guarded(forever, breaker=BreakerLimits(calls=2))
    for _ in range(10):
        task = asyncio.create_task(transport.execute(request()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await code(transport, request(deadline=time.monotonic() + 0.01)) == "SUBGRAPH_TIMEOUT"


@given(st.integers(0, 5), st.floats(0, 1), st.none() | st.floats(0, 100))
def test_pauses_keep_their_bounds(retry: int, drawn: float, asked: float | None) -> None:
    """50 to 500 ms, and never less than the subgraph asked for."""
    wait = pause(RetryLimits(), retry, lambda: drawn, asked)
    assert wait >= 0.05
    assert wait <= max(0.5 + 1e-9, asked or 0)
    assert wait >= (asked or 0)


@given(st.integers(0, 500))
def test_the_budget_is_a_share_and_a_burst(requests: int) -> None:
    """However many requests there were, retries are a tenth of them and ten."""
    budget = RetryBudget(0.1)
    retries = 0
    for _ in range(requests):
        budget.earn()
        retries += budget.spend()
    assert retries <= requests * 0.1 + 10


def test_retry_after_is_a_number_or_a_date() -> None:
    """RFC 9110, 10.2.3; anything else is nothing."""
    now = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    assert retry_after("7") == 7
    assert retry_after("Sat, 21 Nov 2026 12:00:30 GMT", now) == 30
    assert retry_after("Sat, 21 Nov 2026 11:00:00 GMT", now) == 0
    assert [retry_after(value) for value in (None, "", "soon", "-1", "٣")] == [None] * 5
