"""New ULIDs are what the specification says."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ulid import ULID

from db import ids
from db.ids import new_ulid


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have moved the clock ahead; ids never go back."""
    monkeypatch.setattr(ids, "_millisecond", 0)


def test_it_carries_the_time_it_was_made_at() -> None:
    before = time.time_ns() // 1_000_000
    made = ULID.from_str(new_ulid())
    assert before <= made.milliseconds <= time.time_ns() // 1_000_000
    assert str(made) == str(ULID.from_bytes(made.bytes))


def test_each_sorts_after_the_one_before_also_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [new_ulid() for _ in range(20_000)]
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    made += [new_ulid() for _ in range(2_000)]
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {26}


def test_threads_never_get_the_same() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = [id for ids in threads.map(lambda _: [new_ulid() for _ in range(2_000)], range(8)) for id in ids]
    assert len(set(made)) == 16_000


def test_two_milliseconds_share_nothing_but_their_time() -> None:
    """Of the random part: whoever knows one id does not know those of the next millisecond."""
    first = new_ulid()
    until = time.time_ns() + 3_000_000
    while time.time_ns() < until:
        pass
    assert abs(ULID.from_str(first).milliseconds - ULID.from_str(new_ulid()).milliseconds) >= 1
    assert first[10:18] != new_ulid()[10:18]
