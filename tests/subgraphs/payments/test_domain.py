"""The pure decisions: whatever the provider says in whatever order, money is taken once and given back once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.payments import domain, toss, toss_refusals
from subgraphs.payments.domain import (
    Absent,
    Account,
    AwaitsDeposit,
    Booking,
    Captured,
    Decision,
    Declined,
    Gone,
    MethodKind,
    Operation,
    PaymentState,
    PaymentStatus,
    Retryable,
    Told,
    Unclear,
    Verdict,
)
from subgraphs.payments.provider import ProviderError
from subgraphs.payments.transport import Response

AMOUNT = 12_000
NOW = datetime(2026, 11, 21, tzinfo=UTC)
CARD = Captured("key", AMOUNT, NOW, MethodKind.BILLING_KEY, "card")
CARD_VERDICTS: list[Verdict] = [
    CARD,
    Declined("PAYMENT_DECLINED", "no"),
    Gone(),
    Retryable("PROVIDER_ERROR"),
    Unclear("timeout"),
    Absent(),
    Captured("key", AMOUNT + 1, NOW, MethodKind.BILLING_KEY, "card"),
]
ACCOUNT_VERDICTS = [*CARD_VERDICTS, AwaitsDeposit("key", Account("88", "1", "h", NOW, "s"))]
CANCEL, REFUND = "cancel", "refund"


class Books:
    """Applies decisions as the tables would, and counts what was told and booked."""

    def __init__(self, kind: MethodKind, operation: Operation) -> None:
        self.state = PaymentState(PaymentStatus.IN_PROGRESS, AMOUNT, operation=operation, kind=kind)
        self.told: list[Told] = []
        self.booked: list[Booking] = []
        self.pending = 0

    def apply(self, decision: Decision, refunded: int = 0) -> None:
        self.told += decision.told
        if decision.booking:
            self.booked.append(decision.booking)
        self.pending += decision.refund - refunded
        state = self.state
        self.state = PaymentState(
            status=decision.status,
            amount=AMOUNT,
            captured=decision.captured,
            refunded=state.refunded + refunded,
            refunding=self.pending,
            operation=state.operation,
            cancel_requested=decision.cancel_requested,
            kind=state.kind,
        )

    def step(self, what: Verdict | str) -> None:
        if what == CANCEL:
            self.apply(domain.cancel(self.state))
        elif what == REFUND:
            if self.pending:
                self.apply(domain.refunded(self.state, self.pending), self.pending)
        else:
            assert not isinstance(what, str)
            self.apply(domain.decide(self.state, what))


def check(books: Books) -> None:
    state = books.state
    captures, reversals = books.booked.count(Booking.CAPTURE), books.booked.count(Booking.REVERSAL)
    assert captures - reversals in (0, 1), "never captured twice"
    assert state.captured == (AMOUNT if captures > reversals else 0)
    assert 0 <= state.refunded + state.refunding <= state.captured
    if state.status in (PaymentStatus.DONE, PaymentStatus.PARTIAL_CANCELED):
        assert state.captured == AMOUNT
    if state.status is PaymentStatus.CANCELED:
        assert state.captured == state.refunded
    if state.status in (PaymentStatus.ABORTED, PaymentStatus.EXPIRED):
        assert state.captured == 0


card_steps = st.lists(st.sampled_from([*CARD_VERDICTS, CANCEL, REFUND]), max_size=12)
account_steps = st.lists(st.sampled_from([*ACCOUNT_VERDICTS, CANCEL]), max_size=12)


@given(card_steps)
def test_a_card_is_captured_at_most_once_and_what_is_canceled_goes_back(steps: list[Verdict | str]) -> None:
    books = Books(MethodKind.BILLING_KEY, Operation.BILLING_CHARGE)
    for step in steps:
        books.step(step)
        check(books)
    assert books.booked.count(Booking.CAPTURE) <= 1
    assert books.told.count(Told.CAPTURED) <= 1
    books.step(REFUND)
    if books.state.cancel_requested and books.state.status not in domain.IN_FLIGHT:
        assert Told.CANCELED in books.told, "whoever asks to cancel is answered"
        assert books.state.captured == books.state.refunded
    if Told.FAILED in books.told:
        assert Told.CAPTURED not in books.told, "failed for the order stays failed"


@given(account_steps)
def test_a_deposit_counts_once_however_often_it_comes_and_goes(steps: list[Verdict | str]) -> None:
    books = Books(MethodKind.VIRTUAL_ACCOUNT, Operation.ISSUE_VIRTUAL_ACCOUNT)
    for step in steps:
        books.step(step)
        check(books)


@given(st.sampled_from([*PaymentStatus]), st.sampled_from(CARD_VERDICTS))
def test_the_same_verdict_twice_is_the_verdict_once(status: PaymentStatus, verdict: Verdict) -> None:
    books = Books(MethodKind.BILLING_KEY, Operation.BILLING_CHARGE)
    captured = AMOUNT if status in domain.CAPTURED else 0
    books.state = PaymentState(status, AMOUNT, captured, operation=Operation.BILLING_CHARGE)
    books.step(verdict)
    once, told = books.state, list(books.told)
    books.step(verdict)
    assert (books.state, books.told) == (once, told)


def test_a_refund_beyond_the_capture_is_impossible() -> None:
    state = PaymentState(PaymentStatus.DONE, AMOUNT, AMOUNT, refunded=10_000)
    for amount in (2_001, 0, -1):
        with pytest.raises(ValueError, match="refund"):
            domain.refunded(state, amount)


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_a_commission_is_rounded_and_within_the_total(total: int, rate: int) -> None:
    commission = domain.commission(total, rate)
    assert 0 <= commission <= total
    assert abs(commission * 10_000 - total * rate) <= 5_000


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ALREADY_PROCESSED_PAYMENT", Unclear),
        (400, "DUPLICATED_ORDER_ID", Unclear),
        (409, "IDEMPOTENT_REQUEST_PROCESSING", Unclear),
        (400, "PROVIDER_ERROR", Retryable),
        (500, "SOMETHING_NEW", Retryable),
        (429, "HTTP_429", Retryable),
        (401, "UNAUTHORIZED_KEY", Retryable),
        (403, "REJECT_CARD_COMPANY", Declined),
        (400, "SOMETHING_NEW", Declined),
    ],
)
def test_a_refusal_is_final_only_when_the_provider_says_so(status: int, code: str, kind: type) -> None:
    assert isinstance(toss_refusals.read(status, code), kind)


@pytest.mark.parametrize(("currency", "kind"), [("KRW", Captured), ("USD", Unclear), ("VND", Unclear)])
def test_as_many_of_another_currency_are_not_the_price(currency: str, kind: type) -> None:
    """The window in the browser was opened with it: somebody is to look at that."""
    about = {"payment_key": "key", "order_id": "D-1", "status": "DONE", "total_amount": AMOUNT, "balance_amount": 0}
    paid = toss.TossPayment(**about, currency=currency, approved_at=NOW)
    assert isinstance(paid.verdict(), kind)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message":"no"}'])
@pytest.mark.parametrize("status", [400, 404, 408, 500])
def test_an_answer_that_is_not_the_providers_is_no_refusal(status: int, body: bytes) -> None:
    """Of a proxy on the way, say: whether the call was carried out is to be asked."""
    with pytest.raises(ProviderError) as error:
        toss.checked(Response(status, {}, body))
    assert error.value.verdict() == Retryable(f"HTTP_{status}")
