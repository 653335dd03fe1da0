"""More requests than the process can take, and clients that leave."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.shedding import AdaptiveLimit
from router.settings import ResilienceSettings, Settings
from tests.router.pipeline.client import call
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.support.waiting import eventually

JSON = {"content-type": "application/json"}


class Held:
    """A subgraph that answers when it is told, and notes who stopped waiting."""

    def __init__(self) -> None:
        self.free, self.asked, self.left = asyncio.Event(), asyncio.Semaphore(0), asyncio.Event()
        self.transport = InProcessTransport(self._execute)

    async def _execute(self, _: SubgraphRequest) -> SubgraphResponse:
        self.asked.release()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return SubgraphResponse({"me": {"id": "1"}, "rename": {"id": "1"}})


def held_router(held: Held, **bounds: float) -> Any:
    served = subgraphs()
    served["accounts"].transport = held.transport
    return router(served, Settings(resilience=ResilienceSettings(**bounds)))  # type: ignore[arg-type]


async def test_what_is_too_much_is_refused_at_once_and_told_when_to_come_again() -> None:
    """The request above the limit gets 503 with Retry-After; health answers; those inside are served; then all are."""
    held = Held()
    app = held_router(held, requests=1)
    first = asyncio.create_task(call(app, body=b'{"query":"{me{id}}"}', headers=JSON))
    await held.asked.acquire()
    shed = await call(app, body=b'{"query":"{me{id}}"}', headers=JSON)
    assert (shed.status, shed.headers["retry-after"]) == (503, "1")
    assert shed.json["errors"][0]["extensions"]["code"] == "OVERLOADED"
    assert (await call(app, "GET", "/health")).status == 200
    held.free.set()
    assert (await first).json == {"data": {"me": {"id": "1"}}}
    assert (await call(app, body=b'{"query":"{me{id}}"}', headers=JSON)).status == 200


async def _leave(app: Any, body: bytes, held: Held) -> asyncio.Task[None]:
    """A client that sends a request and goes once a subgraph works on it."""
    incoming: list[Any] = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        await held.asked.acquire()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise AssertionError("nobody is there")

    raw = [(name.encode(), value.encode()) for name, value in JSON.items()]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": raw}
    task = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait_for(task, 10)
    return task


async def test_a_client_that_leaves_takes_its_query_along() -> None:
    """The subgraph's work is cancelled, and the place is free again."""
    held = Held()
    app = held_router(held, requests=1)
    await _leave(app, b'{"query":"{me{id}}"}', held)
    await asyncio.wait_for(held.left.wait(), 5)
    held.free.set()
    assert (await call(app, body=b'{"query":"{me{id}}"}', headers=JSON)).status == 200


async def test_a_mutation_outlives_its_client() -> None:
    """What was sent goes on to its end."""
    held = Held()
    await _leave(held_router(held), b'{"query":"mutation{rename(name:\\"x\\"){id}}"}', held)
    await asyncio.sleep(0)
    assert not held.left.is_set()
    held.free.set()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 600))))
def test_the_limit_keeps_its_bounds(seen: list[tuple[float, int]]) -> None:
    """Whatever the loop does."""
    limit = AdaptiveLimit(512, 64, 0.05)
    for lag, running in seen:
        limit.observed(lag, running)
        assert 64 <= limit.value <= 512


def test_the_limit_follows_the_loop() -> None:
    """A loop that is late lowers it to the floor; one that is on time and busy raises it to the top again."""
    limit = AdaptiveLimit(512, 64, 0.05)
    for _ in range(30):
        limit.observed(0.2, limit.value)
    assert limit.value == 64
    for _ in range(100):
        limit.observed(0.0, limit.value)
    assert limit.value == 512


def test_the_later_the_loop_the_fewer_are_let_in() -> None:
    """From what was used, not from what was allowed; at once, not in many steps."""
    limit = AdaptiveLimit(512, 10, 0.05)
    limit.observed(0.5, 200)
    assert limit.value == 20
    limit.observed(0.051, 20)
    assert limit.value == 18


async def test_while_the_loop_is_late_a_crowd_is_not_let_in() -> None:
    """Beyond the floor, before anything has been learned. When it is on time again they are let in."""
    held = Held()
    app = held_router(held, requests=100, requests_floor=2)
    body = b'{"query":"{me{id}}"}'
    inside = [asyncio.create_task(call(app, body=body, headers=JSON)) for _ in range(2)]
    for _ in inside:
        await held.asked.acquire()
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is late
    assert (await call(app, body=body, headers=JSON)).status == 503
    admission = app.graphql._admission
    await eventually(lambda: not admission._is_late() and admission.limit.value > 2)
    inside.append(asyncio.create_task(call(app, body=body, headers=JSON)))
    held.free.set()
    assert [each.status for each in await asyncio.gather(*inside)] == [200] * 3


async def test_a_few_are_let_in_however_late_the_loop_is() -> None:
    """Up to the floor: a process that is always late still answers somebody."""
    held = Held()
    app = held_router(held, requests=100, requests_floor=2)
    body = b'{"query":"{me{id}}"}'
    first = asyncio.create_task(call(app, body=body, headers=JSON))
    await held.asked.acquire()
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is late
    held.free.set()
    assert (await call(app, body=body, headers=JSON)).status == 200
    assert (await first).status == 200


def test_a_loop_without_time_to_spare_takes_no_more() -> None:
    """It is not late yet, but more at once would only make each of them dearer; with time to spare it takes more."""
    limit = AdaptiveLimit(512, 16, 0.05, busy=0.8)
    limit.observed(0.0, 100, busy=0.9)
    assert limit.value == 90
    for _ in range(40):
        limit.observed(0.0, limit.value, busy=0.9)
    assert limit.value == 16
    limit.observed(0.0, 16, busy=0.7)
    assert limit.value == 24


def _work() -> int:
    """Some milliseconds of it."""
    return sum(range(300_000))


async def test_work_lowers_the_limit_and_waiting_does_not() -> None:
    """Seen through the process's own clock: requests that compute, and requests that wait for subgraphs."""
    held = Held()
    # The machine has other work: what it gives this process is enough to be busy with.
    app = held_router(held, requests=100, requests_floor=2, busy=0.1, lag=10)
    body = b'{"query":"{me{id}}"}'
    inside = [asyncio.create_task(call(app, body=body, headers=JSON)) for _ in range(20)]
    for _ in inside:
        await held.asked.acquire()
    admission = app.graphql._admission
    await asyncio.sleep(0.2)
    waited = admission.limit.value
    await eventually(lambda: _work() and admission.limit.value < 20)
    assert waited >= 20
    held.free.set()
    assert {each.status for each in await asyncio.gather(*inside)} == {200}
