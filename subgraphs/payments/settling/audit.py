"""What must be true of what sellers earn and are paid, recomputed from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, exists, func, literal, or_, select, union_all

from subgraphs.payments.domain import Booking
from subgraphs.payments.effects import BUYERS
from subgraphs.payments.models import (
    bookkeeping,
    commissions,
    ledger,
    ledger_days,
    payments,
    payouts,
    seller_entries,
    settlements,
    transfers,
)
from subgraphs.payments.settling.bookkeeper import COMMISSION, NAME, SELLERS, TAX
from subgraphs.payments.settling.rules import PayoutStatus, SettlementStatus
from subgraphs.payments.settling.totals import position_of

STUCK_AFTER = timedelta(minutes=10)


def checks() -> Mapping[str, Select[Any]]:
    """Each selects the violations of an invariant."""
    return {
        "payments.sales_are_booked": _unbooked(),
        "payments.earned_within_sales": _earned_too_much(),
        "payments.seller_account_equals_entries": _account_differs(),
        "payments.days_equal_the_ledger": _totalled_otherwise(),
        "payments.settlements_equal_their_entries": _settled_otherwise(),
        "payments.settlements_are_paid_once": _paid_otherwise(),
        "payments.settlements_are_closed": _left_open(),
    }


def _unbooked() -> Select[Any]:
    """Captures that the bookkeeper has passed by though a seller earned by them."""
    position = select(bookkeeping.c.position).where(bookkeeping.c.name == NAME).scalar_subquery()
    booked = exists().where(
        seller_entries.c.order_line_id == commissions.c.order_line_id, seller_entries.c.booking_id == ledger.c.id
    )
    return (
        select(ledger.c.payment_id, commissions.c.order_line_id)
        .join(payments, payments.c.id == ledger.c.payment_id)
        .join(commissions, and_(payments.c.payable_type == "Order", commissions.c.order_id == payments.c.payable_id))
        .where(
            ledger.c.id <= position,
            ledger.c.account == BUYERS,
            ledger.c.booking == Booking.CAPTURE.value,
            commissions.c.total > 0,
            ~booked,
        )
    )


def _earned_too_much() -> Select[Any]:
    """Lines that earned less than nothing or more than they sold for; nothing kept earns no commission."""
    gross, fee = func.sum(seller_entries.c.gross), func.sum(seller_entries.c.commission)
    tax = func.sum(seller_entries.c.tax)
    line = (commissions.c.order_line_id, commissions.c.total)
    wrong = or_(gross < 0, gross > commissions.c.total, fee < 0, tax < 0, and_(gross == 0, or_(fee != 0, tax != 0)))
    joined = select(*line, gross.label("gross"), fee.label("commission"), tax.label("tax")).join(
        seller_entries, seller_entries.c.order_line_id == commissions.c.order_line_id
    )
    return joined.group_by(*line).having(wrong)


def _account_differs() -> Select[Any]:
    """The books' accounts are the sums of what they are about: entries, less what was paid out."""
    entry = seller_entries.c
    paid = select(func.sum(payouts.c.amount)).where(payouts.c.status == PayoutStatus.COMPLETED.value)
    by_entries = select(
        _sum(select(func.sum(entry.gross - entry.commission - entry.tax))) - _sum(paid),
        _sum(select(func.sum(entry.commission))),
        _sum(select(func.sum(entry.tax))),
    ).subquery()
    by_books = select(_balance(SELLERS), _balance(COMMISSION), _balance(TAX)).subquery()
    pairs = list(zip(by_entries.c, by_books.c, strict=True))
    names = ("sellers", "commission", "tax")
    shown = [
        each
        for name, (entries, books) in zip(names, pairs, strict=True)
        for each in (entries.label(f"{name}_by_entries"), books.label(f"{name}_by_books"))
    ]
    return select(*shown).where(or_(*(entries != books for entries, books in pairs)))


def _sum(query: Select[Any]) -> Any:
    return func.coalesce(query.scalar_subquery(), 0)


def _balance(account: str) -> Any:
    side = case((transfers.c.credit_account == account, transfers.c.amount), else_=-transfers.c.amount)
    about = or_(transfers.c.credit_account == account, transfers.c.debit_account == account)
    return _sum(select(func.sum(side)).where(about)).label(account)


def _totalled_otherwise() -> Select[Any]:
    """Accounts whose totals by day are not the sum of the entries and transfers that are totalled."""
    nothing, moved = literal(0), transfers.c
    totals = select(ledger_days.c.account, ledger_days.c.currency, ledger_days.c.debit, ledger_days.c.credit)
    entries = select(ledger.c.account, ledger.c.currency, -ledger.c.debit, -ledger.c.credit)
    debits = select(moved.debit_account, moved.currency, -moved.amount, nothing.label("credit"))
    credits = select(moved.credit_account, moved.currency, nothing.label("debit"), -moved.amount)
    entries = entries.where(ledger.c.id <= position_of(ledger))
    debits, credits = (each.where(moved.id <= position_of(transfers)) for each in (debits, credits))
    sides = union_all(totals, entries, debits, credits).subquery()
    debit, credit = func.sum(sides.c.debit), func.sum(sides.c.credit)
    about = (sides.c.account, sides.c.currency)
    differs = or_(debit != 0, credit != 0)
    return select(*about, debit.label("debit"), credit.label("credit")).group_by(*about).having(differs)


def _settled_otherwise() -> Select[Any]:
    """Settlements whose sums are not those of their entries, or that do not carry what their predecessor left."""
    entry = seller_entries.c
    sums = (
        select(
            entry.settlement_id,
            func.sum(case((entry.gross > 0, entry.gross), else_=0)).label("gross"),
            func.sum(case((entry.gross < 0, -entry.gross), else_=0)).label("refunds"),
            func.sum(entry.commission).label("commission"),
            func.sum(entry.tax).label("tax"),
        )
        .where(entry.settlement_id.is_not(None))
        .group_by(entry.settlement_id)
        .subquery()
    )
    earlier = settlements.alias("earlier")
    before = (
        select(earlier.c.payable)
        .where(
            earlier.c.partner_id == settlements.c.partner_id,
            earlier.c.currency == settlements.c.currency,
            earlier.c.period_end < settlements.c.period_end,
        )
        .order_by(earlier.c.period_end.desc())
        .limit(1)
        .scalar_subquery()
    )
    owed = case((before < 0, before), else_=0)
    differs = [
        func.coalesce(sums.c[name], 0) != settlements.c[name] for name in ("gross", "refunds", "commission", "tax")
    ]
    return (
        select(settlements.c.id, settlements.c.partner_id, settlements.c.net, settlements.c.carried)
        .outerjoin(sums, sums.c.settlement_id == settlements.c.id)
        .where(settlements.c.status != SettlementStatus.OPEN.value, or_(*differs, settlements.c.carried != owed))
    )


def _left_open() -> Select[Any]:
    """Settlements that were begun long ago, or that another followed before they were closed."""
    later = settlements.alias("later")
    followed = exists().where(
        later.c.partner_id == settlements.c.partner_id,
        later.c.currency == settlements.c.currency,
        later.c.period_end > settlements.c.period_end,
    )
    late = settlements.c.closed_at < datetime.now(UTC) - STUCK_AFTER
    return select(settlements.c.id, settlements.c.partner_id, settlements.c.closed_at).where(
        settlements.c.status == SettlementStatus.OPEN.value, or_(late, followed)
    )


def _paid_otherwise() -> Select[Any]:
    """PAID by exactly one completed payout of what was payable; no other settlement by any; one under way at most."""
    done = func.sum(case((payouts.c.status == PayoutStatus.COMPLETED.value, payouts.c.amount), else_=0))
    live = func.sum(case((payouts.c.status != PayoutStatus.FAILED.value, 1), else_=0))
    sums = (
        select(payouts.c.settlement_id, done.label("done"), live.label("live"))
        .group_by(payouts.c.settlement_id)
        .subquery()
    )
    made, alive = func.coalesce(sums.c.done, 0), func.coalesce(sums.c.live, 0)
    paid = settlements.c.status == SettlementStatus.PAID.value
    asked = settlements.c.status == SettlementStatus.PAYOUT_REQUESTED.value
    wrong = or_(
        and_(paid, or_(made != settlements.c.payable, alive != 1)),
        and_(~paid, made != 0),
        and_(asked, alive != 1),
        and_(~paid, ~asked, alive != 0),
    )
    return (
        select(
            settlements.c.id, settlements.c.status, settlements.c.payable, made.label("paid"), alive.label("payouts")
        )
        .outerjoin(sums, sums.c.settlement_id == settlements.c.id)
        .where(wrong)
    )
