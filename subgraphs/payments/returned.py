"""Refunds of returned goods: orders asks, each return is refunded once, and a deposit waits for its payer's account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import insert_rows
from messaging.events import EventData
from messaging.events.orders import RefundRequested
from messaging.events.payments import RefundRejected
from messaging.outbox import record
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.payments.domain import CAPTURED, PaymentStatus, RefundStatus
from subgraphs.payments.effects import SOURCE, Effects, Row, being_refunded, locked, told_of_refund
from subgraphs.payments.intake import payments_of_orders
from subgraphs.payments.models import outbox, payments, refund_lines, refunds
from subgraphs.payments.settings import Settings
from subgraphs.payments.vault import Vault


async def refunds_requested(
    tx: AsyncConnection, facts: Sequence[RefundRequested], settings: Settings, vault: Vault, now: datetime
) -> None:
    """Open a refund for each return, or answer again how its refund stands. More than is left is refused."""
    wanted = {each.return_id: each for each in facts}
    paid = {
        row["payable_id"]: row
        for row in await payments_of_orders(tx, sorted({each.order_id for each in wanted.values()}), lock=True)
    }
    query = select(refunds).where(refunds.c.return_id.in_(wanted))
    known = {row["return_id"]: dict(row) for row in (await tx.execute(query)).mappings()}
    pending = await being_refunded(tx, {row["id"]: row for row in paid.values()})
    left = {row["id"]: row["captured"] - row["refunded"] - pending.get(row["id"], 0) for row in paid.values()}
    effects = Effects(settings, vault, now)
    answers: list[EventData] = []
    lines: list[Row] = []
    for return_id, each in wanted.items():
        row = paid.get(each.order_id)
        if return_id in known:
            answers += told_of_refund(known[return_id])
        elif row is None or PaymentStatus(row["status"]) not in CAPTURED or row["currency"] != each.currency:
            answers.append(_rejected(each, "NOT_ALLOWED", "Nothing was paid that could be given back."))
        elif not 0 < each.amount <= left[row["id"]]:
            answers.append(_rejected(each, "REFUND_EXCEEDS_BALANCE", "More than is left of the payment."))
        else:
            left[row["id"]] -= each.amount
            refund = effects.refund(row, each.amount, each.reason, automatic=True, return_id=return_id)
            lines += [
                {"refund_id": refund["id"], "order_line_id": line.order_line_id, "amount": line.amount}
                for line in each.lines
            ]
    await effects.write(tx)
    await insert_rows(tx, refund_lines, lines)
    await record(tx, outbox, SOURCE, answers)


async def set_account(tx: AsyncConnection, who: Identity, refund_id: str, sealed: str, now: datetime) -> None:
    """Where a deposit goes back to: the refund is made now.

    ``sealed``: the account as the vault seals it. Raises Rejected NOT_FOUND or NOT_ALLOWED.
    """
    found = (await tx.execute(select(refunds).where(refunds.c.id == refund_id))).mappings().one_or_none()
    row: Row | None = None if found is None else (await locked(tx, [found["payment_id"]]))[found["payment_id"]]
    if row is None or not (row["payer_id"] == who.user_id or "refunds:write" in who.scopes):
        raise Rejected("NOT_FOUND", "You have no such refund.", ["id"])
    waiting = (
        refunds.c.id == refund_id,
        refunds.c.status == RefundStatus.PENDING.value,
        refunds.c.attend_at.is_(None),
        refunds.c.account_sealed.is_(None),
    )
    changed = await tx.execute(update(refunds).where(*waiting).values(account_sealed=sealed, attend_at=now))
    if not changed.rowcount:
        raise Rejected("NOT_ALLOWED", "This refund does not wait for an account.", ["id"])
    touched = update(payments).where(payments.c.id == row["id"])
    await tx.execute(touched.values(version=payments.c.version + 1))


def _rejected(asked: RefundRequested, code: str, message: str) -> RefundRejected:
    return RefundRejected(return_id=asked.return_id, code=code, message=message, amount=asked.amount)
