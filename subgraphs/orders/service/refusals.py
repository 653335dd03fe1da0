"""Refunds that payments refuses: shown, and settled by an operator, so that no return stays open for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.events.payments import RefundRejected
from subgraphs.kit.errors import Rejected
from subgraphs.kit.money import InvalidAmount, to_minor
from subgraphs.orders import models
from subgraphs.orders.domain.returns import ReturnReason, ReturnStatus
from subgraphs.orders.service.returns import ask_for_refunds, hold, refunded, worth
from subgraphs.orders.service.saga import Outcome

_returns = models.returns


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an operator does about a refund that payments has refused: ask for this ``amount`` instead, or write down
    that it is ``already`` given back another way. ``note``: why."""

    amount: Decimal
    already: bool
    note: str


async def refund_rejected(tx: AsyncConnection, refusals: Sequence[RefundRejected]) -> None:
    """Payments cannot refund these returns as they are: it is shown, and not asked for again. What it says of another
    amount than the one that is asked for now is old."""
    held = await hold(tx, [each.return_id for each in refusals])
    for each in refusals:
        row = held[each.return_id].row if each.return_id in held else None
        if row is None or row.status != ReturnStatus.RECEIVED.value or each.amount not in (None, row.refund_amount):
            continue
        changed = update(_returns).where(_returns.c.id == row.id)
        await tx.execute(changed.values(refund_error=f"{each.code}: {each.message}"[:500], ask_again_at=None))


async def settle(
    tx: AsyncConnection, operator_id: str, return_id: str, given: Settlement, now: datetime, *, ask_again_after: float
) -> Outcome:
    """Go on with a return whose refund was refused. The same again is nothing.

    Raises Rejected NOT_FOUND, NOT_ALLOWED (nothing was refused) or INVALID (more than the units that came back give).
    """
    held = (await hold(tx, [return_id])).get(return_id)
    if held is None:
        raise Rejected("NOT_FOUND", "There is no such return.", ["id"])
    try:
        amount = to_minor(given.amount, held.row.currency)
    except InvalidAmount as error:
        raise Rejected("INVALID", str(error), ["amount"]) from error
    if held.row.refund_error is None:
        if held.row.settled_by is not None and (held.row.refund_amount, held.row.settled_note) == (amount, given.note):
            return Outcome()
        raise Rejected("NOT_ALLOWED", "No refund of this return was refused.", ["id"])
    arrived = {line.order_line_id: line.received or 0 for line in held.lines}
    least = 0 if given.already else 1
    most = worth(held.order, held.order_lines, arrived, held.row.fee, ReturnReason(held.row.reason))
    if not least <= amount <= most:
        raise Rejected("INVALID", "Something, and no more than the units that came back give.", ["amount"])
    changes = {"refund_amount": amount, "settled_by": operator_id, "settled_note": given.note, "refund_error": None}
    if given.already:
        changes["given_otherwise"] = amount
    else:
        changes["ask_again_at"] = now + timedelta(seconds=ask_again_after)
    await tx.execute(update(_returns).where(_returns.c.id == return_id).values(**changes))
    if given.already:
        return await refunded(tx, [return_id], now)
    await ask_for_refunds(tx, [return_id])
    return Outcome(changed={held.row.order_id})
