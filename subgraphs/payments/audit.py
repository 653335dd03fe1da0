"""What must be true of payments, recomputed from the tables and compared with the provider's own journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.subgraph import Violation
from subgraphs.payments.domain import CAPTURED, IN_FLIGHT, Booking, PaymentStatus, RefundStatus
from subgraphs.payments.effects import BUYERS
from subgraphs.payments.models import ledger, payments, refunds
from subgraphs.payments.provider import Provider
from subgraphs.payments.reconciling import compare
from subgraphs.payments.settling.audit import checks as settling_checks

STUCK_AFTER = timedelta(minutes=10)
JOURNAL_DAYS = 90


async def audit(connection: AsyncConnection) -> list[Violation]:
    """Every violation; none is healthy."""
    checks = {
        "payments.paid_by_one_capture": _not_captured_once(),
        "payments.no_second_capture": _captured_again(),
        "payments.refunds_within_capture": _refunded_too_much(),
        "payments.ledger_balanced": _unbalanced(),
        "payments.ledger_equals_payments": _booked_otherwise(),
        "payments.no_stuck_payment": _stuck(),
        **settling_checks(),
    }
    violations = []
    for invariant, query in checks.items():
        for row in (await connection.execute(query)).mappings():
            detail = ", ".join(f"{name} {value}" for name, value in row.items())
            violations.append(Violation(invariant, detail))
    return violations


async def audit_provider(provider: Provider, connection: AsyncConnection) -> list[Violation]:
    """Where our payments and the provider's journal of the last 90 days differ, in either direction.

    Raises NoAnswer or ProviderError when the provider cannot be asked.
    """
    end = datetime.now(UTC) + timedelta(minutes=1)
    differences = await compare(provider, connection, end - timedelta(days=JOURNAL_DAYS), end)
    return [Violation("payments.equal_to_provider", str(each)) for each in differences]


def _not_captured_once() -> Select[Any]:
    paid = payments.c.status.in_([each.value for each in CAPTURED])
    canceled = payments.c.status == PaymentStatus.CANCELED.value
    wrong = or_(
        and_(paid, payments.c.captured != payments.c.amount),
        and_(canceled, payments.c.captured != payments.c.refunded),
        and_(~paid, ~canceled, payments.c.captured != 0),
    )
    return select(payments.c.id, payments.c.status, payments.c.amount, payments.c.captured).where(wrong)


def _captured_again() -> Select[Any]:
    """More captures than reversals plus one, by payable and purpose."""
    sign = case((ledger.c.booking == Booking.REVERSAL.value, -1), else_=1)
    net = func.sum(sign)
    key = (payments.c.payable_type, payments.c.payable_id, payments.c.purpose)
    one_side = and_(ledger.c.account == BUYERS, ledger.c.booking.in_([Booking.CAPTURE.value, Booking.REVERSAL.value]))
    joined = select(*key, net.label("captures")).join(ledger, ledger.c.payment_id == payments.c.id).where(one_side)
    return joined.group_by(*key).having(net > 1)


def _refunded_too_much() -> Select[Any]:
    made = func.sum(case((refunds.c.status == RefundStatus.COMPLETED.value, refunds.c.amount), else_=0))
    wanted = func.sum(case((refunds.c.status != RefundStatus.FAILED.value, refunds.c.amount), else_=0))
    sums = (
        select(refunds.c.payment_id, made.label("made"), wanted.label("wanted"))
        .group_by(refunds.c.payment_id)
        .subquery()
    )
    made_or_none, wanted_or_none = func.coalesce(sums.c.made, 0), func.coalesce(sums.c.wanted, 0)
    return (
        select(payments.c.id, payments.c.captured, payments.c.refunded, made_or_none.label("made"))
        .outerjoin(sums, sums.c.payment_id == payments.c.id)
        .where(or_(payments.c.refunded != made_or_none, wanted_or_none > payments.c.captured))
    )


def _unbalanced() -> Select[Any]:
    debit, credit = func.sum(ledger.c.debit), func.sum(ledger.c.credit)
    booking = (ledger.c.booking, ledger.c.reference, ledger.c.currency)
    return select(*booking, debit.label("debit"), credit.label("credit")).group_by(*booking).having(debit != credit)


def _booked_otherwise() -> Select[Any]:
    held = func.sum(case((ledger.c.account == BUYERS, ledger.c.credit - ledger.c.debit), else_=literal(0)))
    sums = select(ledger.c.payment_id, held.label("held")).group_by(ledger.c.payment_id).subquery()
    held_or_none = func.coalesce(sums.c.held, 0)
    return (
        select(payments.c.id, payments.c.captured, payments.c.refunded, held_or_none.label("held"))
        .outerjoin(sums, sums.c.payment_id == payments.c.id)
        .where(held_or_none != payments.c.captured - payments.c.refunded)
    )


def _stuck() -> Select[Any]:
    late = payments.c.updated_at < datetime.now(UTC) - STUCK_AFTER
    in_flight = payments.c.status.in_([each.value for each in IN_FLIGHT])
    unwatched = and_(in_flight, payments.c.attend_at.is_(None))
    return select(payments.c.id, payments.c.status, payments.c.updated_at).where(or_(and_(in_flight, late), unwatched))
