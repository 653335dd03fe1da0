"""Which seller bears a refund that an operator makes by hand."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import insert_rows
from subgraphs.kit.errors import Rejected
from subgraphs.payments.effects import Row
from subgraphs.payments.models import commissions, refund_lines


async def bear(tx: AsyncConnection, refund: Row, payment: Row, partner_id: str) -> None:
    """Let the lines of this seller bear the refund, as far as they go. The refund is written.

    Raises Rejected NOT_FOUND when the seller sold nothing of what was paid.
    """
    sold = select(commissions.c.order_line_id, commissions.c.total).where(
        commissions.c.order_id == payment["payable_id"], commissions.c.partner_id == partner_id
    )
    rows = [
        {"refund_id": refund["id"], "order_line_id": line_id, "amount": total}
        for line_id, total in await tx.execute(sold)
    ]
    if not rows:
        raise Rejected("NOT_FOUND", "This seller sold nothing of it.", ["partnerId"])
    await insert_rows(tx, refund_lines, rows)
