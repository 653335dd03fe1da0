"""Rate limits: a token bucket for each API key, each person, each address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.app import RouterApp
from router.errors import RequestError
from router.pipeline.addresses import Addresses
from router.pipeline.asgi import PEER
from router.pipeline.auth import ANONYMOUS, Identity
from router.pipeline.buckets import MemoryBuckets, take
from router.pipeline.clients import Client
from router.pipeline.rate_limits import RateLimiter
from router.settings import Rate, RateLimits, Settings
from tests.router.pipeline.client import Response, call
from tests.router.pipeline.persisting import client
from tests.router.pipeline.subgraphs import router, subgraphs

NOBODY = Client("-")


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter(proxies: Sequence[str] = (), **settings: Any) -> tuple[RateLimiter, Clock]:
    limits, clock = RateLimits(enabled=True, **settings), Clock()
    addresses = Addresses([ip_network(proxy) for proxy in proxies])
    return RateLimiter(limits, MemoryBuckets(limits.callers, clock), addresses), clock


async def admitted(limits: RateLimiter, tries: int, headers: dict[str, str], identity: Identity = ANONYMOUS) -> int:
    """How many of these tries are admitted, all at one moment."""
    count = 0
    for _ in range(tries):
        try:
            await limits.admit(NOBODY, identity, headers)
            count += 1
        except RequestError:
            continue
    return count


async def test_strangers_have_twenty_at_once_and_ten_a_second() -> None:
    """The defaults: the burst, then what a second brings, and again the burst after a pause."""
    limits, clock = limiter()
    here = {PEER: "192.0.2.1"}
    assert await admitted(limits, 50, here) == 20
    clock.now += 1
    assert await admitted(limits, 50, here) == 10
    clock.now += 60
    assert await admitted(limits, 50, here) == 20


async def test_a_person_has_thirty_a_second_wherever_they_are() -> None:
    """The address does not matter for those who are signed in, and they do not use up a stranger's share."""
    limits, clock = limiter()
    ada = Identity(subject="ada")
    assert (
        await admitted(limits, 40, {PEER: "192.0.2.1"}, ada) + await admitted(limits, 40, {PEER: "192.0.2.2"}, ada)
        == 60
    )
    clock.now += 1
    assert await admitted(limits, 50, {PEER: "192.0.2.1"}, ada) == 30
    assert await admitted(limits, 50, {PEER: "192.0.2.1"}) == 20


async def test_the_wait_that_is_told_is_enough() -> None:
    """One moment before, refused; then, admitted."""
    limits, clock = limiter(anonymous=Rate(per_second=0.5, burst=1))
    await limits.admit(NOBODY, ANONYMOUS, {PEER: "a"})
    with pytest.raises(RequestError) as refused:
        await limits.admit(NOBODY, ANONYMOUS, {PEER: "a"})
    assert refused.value.retry_after == 2
    clock.now += 1.99
    assert await admitted(limits, 1, {PEER: "a"}) == 0
    clock.now += 0.01
    assert await admitted(limits, 1, {PEER: "a"}) == 1


@pytest.mark.parametrize(
    ("proxies", "forwarded", "shared"),
    [
        ([], "198.51.100.{n}", True),
        (["192.0.2.0/24"], "198.51.100.{n}", False),
        (["192.0.2.0/24"], "198.51.100.{n}, 203.0.113.9", True),
        (["192.0.2.0/24", "203.0.113.9"], "198.51.100.{n}, 203.0.113.9", False),
        (["10.0.0.0/8"], "198.51.100.{n}", True),
    ],
)
async def test_what_a_client_writes_itself_gives_it_no_further_bucket(
    proxies: list[str], forwarded: str, shared: bool
) -> None:
    """Only what our own proxies saw tells one caller from another."""
    limits, _ = limiter(proxies)
    total = 0
    for n in range(3):
        total += await admitted(limits, 30, {PEER: "192.0.2.1", "x-forwarded-for": forwarded.format(n=n)})
    assert total == (20 if shared else 60)


async def test_an_ipv6_site_is_one_address() -> None:
    """A customer has 2^64 addresses; another /64 is somebody else, and a mapped IPv4 address is that address."""
    limits, _ = limiter()
    assert (
        await admitted(limits, 15, {PEER: "2001:db8::1"}) + await admitted(limits, 15, {PEER: "2001:db8::ffff:1"}) == 20
    )
    assert await admitted(limits, 30, {PEER: "2001:db8:0:1::1"}) == 20
    assert (
        await admitted(limits, 15, {PEER: "::ffff:192.0.2.1"}) + await admitted(limits, 15, {PEER: "192.0.2.1"}) == 20
    )


async def test_few_callers_are_remembered_when_there_are_too_many() -> None:
    """Memory is bounded whoever asks."""
    limits, _ = limiter(callers=10)
    for number in range(1000):
        await limits.admit(NOBODY, ANONYMOUS, {PEER: f"10.0.{number // 256}.{number % 256}"})
    assert len(limits._buckets) <= 10  # type: ignore[arg-type]


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_window_holds_more_than_the_bucket_allows(per_second: float, burst: int, pauses: list[float]) -> None:
    """Whatever the pattern of requests: at most burst + rate x time of them between any two moments."""
    rate, now, full_at = Rate(per_second=per_second, burst=burst), 0.0, 0.0
    taken: list[float] = []
    for pause in pauses:
        now += pause
        full_at, wait = take(full_at, now, rate)
        if wait == 0:
            taken.append(now)
    for start in range(len(taken)):
        for end in range(start, len(taken)):
            assert end - start + 1 <= burst + per_second * (taken[end] - taken[start]) + 1e-2


# --- over HTTP ------------------------------------------------------------------------------------------------------


def app(**settings: Any) -> RouterApp:
    limits = RateLimits(enabled=True, anonymous=Rate(per_second=0.01, burst=2))
    return router(subgraphs(), Settings(rate_limits=limits, **settings))


async def ask(served: RouterApp, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await call(
        served,
        body=orjson.dumps({"query": "{ me { id } }"}),
        headers={"content-type": "application/json", **named},
        peer="192.0.2.7",
    )


async def test_too_many_requests_are_answered_with_429() -> None:
    """Whatever the media type; with the code and the seconds to wait."""
    served = app()
    assert [(await ask(served)).status for _ in range(3)] == [200, 200, 429]
    refused = await ask(served)
    assert refused.json["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert 1 <= int(refused.headers["retry-after"]) <= 100


async def test_guesses_of_keys_and_tokens_are_counted() -> None:
    """After the burst not even their validity is told."""
    served = app()
    statuses = [(await ask(served, x_api_key=f"guess-{n}")).status for n in range(2)]
    statuses += [(await ask(served, authorization="Bearer guess")).status]
    assert statuses == [401, 401, 429]


async def test_a_client_has_its_own_rate() -> None:
    """One bucket for the key, apart from its address; it can be turned off with the rest."""
    served = app(clients={"partner": client("key", None, rate={"per_second": 0.01, "burst": 4})})
    assert [(await ask(served, x_api_key="key")).status for _ in range(5)] == [200] * 4 + [429]
    assert (await ask(served)).status == 200
    off = router(subgraphs(), Settings(rate_limits=RateLimits(enabled=False)))
    assert {(await ask(off)).status for _ in range(30)} == {200}
