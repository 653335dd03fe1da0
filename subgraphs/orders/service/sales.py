"""What a seller sold: paid lines, by day, week, month or product."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Row, distinct, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import global_id
from subgraphs.orders import models
from subgraphs.orders.domain.states import UNSOLD

MAX_DAYS = 366


class SalesGroup(Enum):
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    PRODUCT = "PRODUCT"


@dataclass(frozen=True, slots=True)
class Sales:
    """``key``: an ISO date, week (2026-W47) or month, or the product's id. ``revenue`` in minor units."""

    key: str
    orders: int
    quantity: int
    revenue: int
    currency: str


async def sales_of(
    connection: AsyncConnection, partner_id: str, first: date, last: date, group: SalesGroup
) -> list[Sales]:
    """Sales of a seller on the days (in Seoul) from ``first`` to ``last``, cancelled orders left out.

    Raises Rejected INVALID for a span that is empty or longer than a year.
    """
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
        raise Rejected("INVALID", f"Ask for 1 to {MAX_DAYS} days.", ["from"])
    orders, lines = models.orders, models.order_lines
    what = lines.c.product_id if group is SalesGroup.PRODUCT else orders.c.paid_on
    query = (
        select(
            what.label("what"),
            lines.c.currency,
            func.count(distinct(lines.c.order_id)).label("orders"),
            func.sum(lines.c.quantity).label("quantity"),
            func.sum(lines.c.total).label("revenue"),
        )
        .join(orders, orders.c.id == lines.c.order_id)
        .where(lines.c.partner_id == partner_id, orders.c.paid_on.between(first, last))
        .where(orders.c.status.not_in(UNSOLD))
        .group_by(what, lines.c.currency)
    )
    return _merged((await connection.execute(query)).all(), group)


def _merged(rows: Any, group: SalesGroup) -> list[Sales]:
    together: dict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        together[_key(row.what, group), row.currency].append(row)
    return [
        Sales(
            key=key,
            orders=sum(row.orders for row in same),
            quantity=sum(int(row.quantity) for row in same),
            revenue=sum(int(row.revenue) for row in same),
            currency=currency,
        )
        for (key, currency), same in sorted(together.items())
    ]


def _key(what: Any, group: SalesGroup) -> str:
    match group:
        case SalesGroup.PRODUCT:
            return global_id("Product", what)
        case SalesGroup.DAY:
            return str(what)
        case SalesGroup.WEEK:
            return f"{what:%G-W%V}"
        case SalesGroup.MONTH:
            return f"{what:%Y-%m}"
