"""The breaker, against a clock that the test holds, and against the plainest model of it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.executor.resilience.breaker import Breaker, BreakerLimits, Outcome, State

LIMITS = BreakerLimits(ratio=0.5, calls=4, window=10.0, open_for=5.0, probes=3)


def call(breaker: Breaker, now: float, outcome: Outcome) -> bool:
    ticket = breaker.enter(now)
    if ticket is not None:
        breaker.leave(ticket, now, outcome)
    return ticket is not None


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(4):
        call(breaker, now, Outcome.FAILURE)
    assert breaker.state is State.OPEN
    return breaker


def test_half_of_enough_calls_open_it() -> None:
    """Three failures are too few calls to tell; the fourth call decides, and half is enough."""
    breaker = Breaker(LIMITS)
    for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE):
        call(breaker, 1.0, outcome)
    assert breaker.state is State.CLOSED
    call(breaker, 1.0, Outcome.FAILURE)
    assert breaker.state is State.OPEN


def test_old_failures_are_forgotten() -> None:
    """What is older than the window does not count."""
    breaker = Breaker(LIMITS)
    for now in (0.0, 0.0, 0.0, 11.0):
        call(breaker, now, Outcome.FAILURE)
    assert breaker.state is State.CLOSED


def test_callers_that_left_tell_nothing() -> None:
    """Any number of abandoned calls neither opens it nor dilutes failures."""
    breaker = Breaker(LIMITS)
    for _ in range(50):
        call(breaker, 1.0, Outcome.ABANDONED)
    for _ in range(4):
        call(breaker, 1.0, Outcome.FAILURE)
    assert breaker.state is State.OPEN


def test_open_refuses_then_probes_then_closes() -> None:
    """For five seconds nothing passes, then three calls at once and no more, and when they succeed all may."""
    breaker = opened()
    assert breaker.enter(4.9) is None
    assert breaker.wait(4.0) == 1.0
    probes = [breaker.enter(5.0) for _ in range(4)]
    assert probes[3] is None
    for probe in probes[:3]:
        assert probe is not None
        breaker.leave(probe, 5.1, Outcome.SUCCESS)
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_it_again() -> None:
    """And the five seconds begin anew."""
    breaker = opened()
    assert call(breaker, 6.0, Outcome.FAILURE)
    assert not call(breaker, 10.9, Outcome.SUCCESS)
    assert call(breaker, 11.0, Outcome.SUCCESS)


def test_a_probe_whose_caller_left_is_given_back() -> None:
    """Else three impatient clients would shut a subgraph out for ever."""
    breaker = opened()
    for _ in range(10):
        assert call(breaker, 6.0, Outcome.ABANDONED)
    assert breaker.state is State.HALF_OPEN


def test_late_answers_to_calls_before_it_opened_do_not_count() -> None:
    """A success that was under way all the time does not close it, a failure does not prolong it."""
    breaker = Breaker(LIMITS)
    early = breaker.enter(0.0)
    assert early is not None
    for _ in range(4):
        call(breaker, 0.0, Outcome.FAILURE)
    probe = breaker.enter(5.0)
    assert probe is not None
    breaker.leave(early, 5.0, Outcome.FAILURE)
    assert breaker.state is State.HALF_OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Calls that overlap, in any order, with time passing between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.states: list[State] = []
        self.breaker = Breaker(LIMITS, self.states.append)
        self.running: list[int] = []

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        before, wait = self.breaker.state, self.breaker.wait(self.now)
        ticket = self.breaker.enter(self.now)
        if before is State.CLOSED:
            assert ticket is not None
        if before is State.OPEN:
            assert (ticket is None) == (wait > 0)
        if ticket is not None:
            self.running.append(ticket)

    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        if self.running:
            ticket = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
            self.breaker.leave(ticket, self.now, outcome)

    @invariant()
    def few_probes(self) -> None:
        if self.breaker.state is State.HALF_OPEN:
            newest = max(self.running, default=0)
            assert sum(ticket == newest for ticket in self.running) <= LIMITS.probes or newest == 0

    @invariant()
    def opens_before_it_is_half_open_and_never_closes_from_open(self) -> None:
        for first, second in zip([State.CLOSED, *self.states], self.states, strict=False):
            assert (first, second) in {
                (State.CLOSED, State.OPEN),
                (State.OPEN, State.HALF_OPEN),
                (State.HALF_OPEN, State.OPEN),
                (State.HALF_OPEN, State.CLOSED),
            }

    @invariant()
    def it_can_always_recover(self) -> None:
        assert self.breaker.wait(self.now) <= LIMITS.open_for + 1e-6  # sums of floats


TestBreakerMachine = BreakerMachine.TestCase
