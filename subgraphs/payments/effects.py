"""Writes decisions about payments down: rows, ledger, refunds and events, in the transaction of the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows, update_rows
from db.prepared import Prepared
from messaging.events import EventData
from messaging.events.payments import (
    PaymentAwaitingDeposit,
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    RefundCompleted,
    RefundRejected,
)
from messaging.outbox import record
from subgraphs.kit.ids import new_ulid
from subgraphs.payments.domain import (
    IN_FLIGHT,
    UNPAID,
    AwaitsDeposit,
    Booking,
    Captured,
    Decision,
    Declined,
    MethodKind,
    Operation,
    PaymentState,
    PaymentStatus,
    RefundStatus,
    Told,
    Verdict,
)
from subgraphs.payments.models import attempts, ledger, outbox, payments, refunds
from subgraphs.payments.settings import Settings
from subgraphs.payments.vault import Vault

SOURCE = "/dure/payments"
PROVIDER = "provider_receivable"
BUYERS = "buyer_funds"
MAX_PAUSE = 30.0

Row = dict[str, Any]


class Effects:
    """Gathers what a transaction does to payments that it holds locked, and writes it set by set."""

    def __init__(self, settings: Settings, vault: Vault, now: datetime) -> None:
        self._settings = settings
        self._vault = vault
        self._now = now
        self._changes: dict[str, Row] = {}
        self._entries: list[Row] = []
        self._refunds: list[Row] = []
        self._attempts: list[Row] = []
        self.events: list[EventData] = []

    def apply(self, row: Mapping[str, Any], decision: Decision, verdict: Verdict | None = None) -> Row:
        """The payment's row after the decision."""
        changes: Row = {
            "status": decision.status.value,
            "captured": decision.captured,
            "cancel_requested": decision.cancel_requested,
            "updated_at": self._now,
            "attend_at": self._attend_at(row, decision),
        }
        if isinstance(verdict, Captured) and decision.booking is Booking.CAPTURE:
            changes |= _captured(row, verdict)
        elif isinstance(verdict, AwaitsDeposit) and decision.status is PaymentStatus.WAITING_FOR_DEPOSIT:
            changes |= self._account(verdict)
        if decision.changed and (decision.failure or row["failure_code"]):
            changes |= _failure(decision.failure)
        if decision.status.value != row["status"]:
            changes["tries"] = 0
        after = self._change(row, changes)
        if decision.booking:
            self._book(decision.booking, row, after)
        if decision.refund:
            self.refund(after, decision.refund, "주문 취소", automatic=True)
        self.events += [told(after, each) for each in decision.told]
        return after

    def _change(self, row: Mapping[str, Any], changes: Row) -> Row:
        after = {**row, **changes}
        self._changes.setdefault(after["id"], {"id": after["id"]}).update(changes)
        return after

    def refunded(self, row: Mapping[str, Any], decision: Decision, refund: Mapping[str, Any]) -> None:
        """A refund that the provider has made. That of a return is told as such, whatever is left of the payment."""
        amount = refund["amount"]
        changes = {
            "status": decision.status.value,
            "refunded": row["refunded"] + amount,
            "updated_at": self._now,
        }
        after = self._change(row, changes)
        self._enter(Booking.REFUND, refund["id"], after, debit=BUYERS, credit=PROVIDER, amount=amount)
        if refund["return_id"] is None:
            self.events += [told(after, each) for each in decision.told]

    def refund(
        self,
        row: Mapping[str, Any],
        amount: int,
        reason: str,
        *,
        automatic: bool,
        account: str | None = None,
        return_id: str | None = None,
    ) -> Row:
        """Money to give back: a worker does it. A deposit of which no person has named the account waits for one."""
        waits = account is None and row["kind"] == MethodKind.VIRTUAL_ACCOUNT.value
        refund = {
            "id": new_ulid(),
            "payment_id": row["id"],
            "amount": amount,
            "currency": row["currency"],
            "reason": reason[:200],
            "status": RefundStatus.PENDING.value,
            "automatic": automatic,
            "return_id": return_id,
            "account_sealed": account and self._vault.seal(account),
            "attend_at": None if waits else self._now,
            "tries": 0,
            "failure_code": None,
            "failure_message": None,
            "created_at": self._now,
            "completed_at": None,
        }
        self._refunds.append(refund)
        return refund

    def attempt(self, payment_id: str, operation: Operation, refund_id: str | None = None) -> Row:
        """A call that is about to be made; its id is its idempotency key."""
        id = new_ulid()
        row = {
            "id": id,
            "payment_id": payment_id,
            "refund_id": refund_id,
            "operation": operation.value,
            "idempotency_key": id,
            "outcome": None,
            "provider_code": None,
            "provider_reference": None,
            "started_at": self._now,
            "finished_at": None,
        }
        self._attempts.append(row)
        return row

    @property
    def has_refunds(self) -> bool:
        return bool(self._refunds)

    async def write(self, tx: AsyncConnection) -> None:
        alike: dict[tuple[str, ...], list[Row]] = {}
        for changes in self._changes.values():
            alike.setdefault(tuple(changes), []).append(changes)
        for rows in alike.values():
            await update_rows(tx, payments, rows, where=["id"], bump="version")
        for table, added in ((ledger, self._entries), (refunds, self._refunds), (attempts, self._attempts)):
            await insert_rows(tx, table, added)
        await record(tx, outbox, SOURCE, self.events)

    def _account(self, verdict: AwaitsDeposit) -> Row:
        account = verdict.account
        return {
            "provider_key": verdict.provider_key,
            "kind": MethodKind.VIRTUAL_ACCOUNT.value,
            "account_bank": account.bank_code,
            "account_number": account.number,
            "account_holder": account.holder[:100],
            "account_due_at": account.due_at,
            "account_secret_sealed": account.secret and self._vault.seal(account.secret),
            "deposited_at": None,
            "approved_at": None,
        }

    def _attend_at(self, before: Mapping[str, Any], decision: Decision) -> datetime | None:
        if decision.look_again:
            if decision.cancel_requested and not before["cancel_requested"]:
                # A call under way is waited for; an account that waits for a deposit is closed at once.
                due: datetime | None = before["attend_at"] if decision.status in IN_FLIGHT else self._now
                return due
            return self._now + timedelta(seconds=self.pause(before["tries"]))
        if decision.status is PaymentStatus.WAITING_FOR_DEPOSIT:
            pause, waited = self._settings.deposit_look_seconds, self._now - before["created_at"]
            later: datetime = self._now + max(timedelta(seconds=pause), waited)
            over: datetime | None = before["account_due_at"]
            return later if over is None or over <= self._now else min(later, over + timedelta(seconds=pause))
        if decision.status in UNPAID and not decision.changed:
            return before["attend_at"] if decision.status is not PaymentStatus.READY else None
        return None

    def pause(self, tries: int) -> float:
        """Seconds until the next try after so many."""
        return min(MAX_PAUSE, self._settings.retry_seconds * 2.0 ** min(max(tries - 1, 0), 10))

    def _book(self, booking: Booking, before: Mapping[str, Any], after: Row) -> None:
        reference = f"{after['id']}:{after['captures']}"
        if booking is Booking.CAPTURE:
            self._enter(booking, reference, after, debit=PROVIDER, credit=BUYERS, amount=after["captured"])
        else:
            self._enter(booking, reference, after, debit=BUYERS, credit=PROVIDER, amount=before["captured"])

    def _enter(self, booking: Booking, reference: str, row: Row, *, debit: str, credit: str, amount: int) -> None:
        for account, debited, credited in ((debit, amount, 0), (credit, 0, amount)):
            self._entries.append(
                {
                    "id": new_ulid(),
                    "booking": booking.value,
                    "reference": reference,
                    "account": account,
                    "payment_id": row["id"],
                    "debit": debited,
                    "credit": credited,
                    "currency": row["currency"],
                    "booked_at": self._now,
                }
            )


def _captured(row: Mapping[str, Any], verdict: Captured) -> Row:
    return {
        "captures": row["captures"] + 1,
        "provider_key": verdict.provider_key,
        "approved_at": verdict.approved_at,
        "receipt_url": verdict.receipt_url and verdict.receipt_url[:500],
        "kind": verdict.kind.value,
        "summary": verdict.summary[:100],
        "deposited_at": verdict.approved_at if verdict.kind is MethodKind.VIRTUAL_ACCOUNT else None,
    }


def _failure(failure: Declined | None) -> Row:
    return {
        "failure_code": failure and failure.code,
        "failure_message": failure and failure.message,
        "failure_retryable": bool(failure and failure.retryable),
    }


def state_of(row: Mapping[str, Any], *, refunding: int = 0, operation: str | None = None) -> PaymentState:
    """What the domain decides on, from a payment's row."""
    return PaymentState(
        status=PaymentStatus(row["status"]),
        amount=row["amount"],
        captured=row["captured"],
        refunded=row["refunded"],
        refunding=refunding,
        operation=Operation(operation) if operation else None,
        cancel_requested=row["cancel_requested"],
        kind=MethodKind(row["kind"]),
    )


def told_of_refund(refund: Mapping[str, Any]) -> list[EventData]:
    """What whoever asked for the refund of a return is told of it; nothing while it is under way."""
    if refund["return_id"] is None:
        return []
    if refund["status"] == RefundStatus.COMPLETED.value:
        return [
            RefundCompleted(
                return_id=refund["return_id"],
                payment_id=refund["payment_id"],
                amount=refund["amount"],
                currency=refund["currency"],
            )
        ]
    if refund["status"] == RefundStatus.FAILED.value:
        code, message = refund["failure_code"] or "NOT_ALLOWED", refund["failure_message"] or "The refund failed."
        return [RefundRejected(return_id=refund["return_id"], code=code, message=message)]
    return []


def told(row: Mapping[str, Any], what: Told) -> EventData:
    """The event that tells the others how the payment stands."""
    about = {name: row[name] for name in ("payable_type", "payable_id", "payer_id")}
    if what is Told.CAPTURED:
        return PaymentCaptured(
            **about,
            payment_id=row["id"],
            amount=row["captured"],
            currency=row["currency"],
            approved_at=row["approved_at"],
        )
    if what is Told.FAILED:
        return PaymentFailed(
            **about,
            payment_id=row["id"],
            code=row["failure_code"] or "PAYMENT_DECLINED",
            message=row["failure_message"] or "The payment failed.",
        )
    if what is Told.AWAITING:
        return PaymentAwaitingDeposit(**about, payment_id=row["id"], due_at=row["account_due_at"])
    return PaymentCanceled(**about, refunded=row["refunded"], currency=row["currency"])


_LOCK = Prepared(
    select(
        *(
            payments.c[name]
            for name in (
                "id",
                "payable_type",
                "payable_id",
                "payer_id",
                "amount",
                "currency",
                "status",
                "captured",
                "refunded",
                "captures",
                "cancel_requested",
                "attend_at",
                "tries",
                "kind",
                "provider",
                "provider_key",
                "failure_code",
                "failure_message",
                "account_due_at",
                "approved_at",
                "created_at",
            )
        )
    )
    .where(among(payments.c.id, "ids"))
    .order_by(payments.c.id)
    .with_for_update()
)
_BEING_REFUNDED = Prepared(
    select(refunds.c.payment_id, func.sum(refunds.c.amount))
    .where(among(refunds.c.payment_id, "ids"), refunds.c.status == RefundStatus.PENDING.value)
    .group_by(refunds.c.payment_id)
)


async def locked(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Row]:
    """Payments by id, as far as decisions about them need, locked until the transaction ends, in one order for all
    who lock."""
    return {row["id"]: row for row in await _LOCK.dicts(tx, ids=ids)}


async def being_refunded(tx: AsyncConnection, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The sum of refunds under way of the payments that have captured anything."""
    ids = [id for id, row in rows.items() if row["captured"]]
    if not ids:
        return {}
    return {id: int(total) for id, total in await _BEING_REFUNDED.rows(tx, ids=ids)}
