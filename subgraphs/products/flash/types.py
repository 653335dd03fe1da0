"""The GraphQL types of flash sales."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import Row, func, select

from subgraphs.kit.entities import Representation, Resolve
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.types import Money, Node, money_of
from subgraphs.products.flash.domain import FlashSaleStatus, QueueTicketStatus, estimated_wait, status_of
from subgraphs.products.flash.line import Counters
from subgraphs.products.flash.models import claims, items, sales, tickets
from subgraphs.products.loaders import Context
from subgraphs.products.types import Info, ProductVariant, variant_of

strawberry.enum(FlashSaleStatus)
strawberry.enum(QueueTicketStatus)


@strawberry.type
class WaitingRoomStats:
    waiting: int
    admitted_per_minute: int
    estimated_wait_seconds: int


@strawberry.federation.type(keys=["id"])
class FlashSaleItem(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    sale_price: Money
    total_quantity: int
    remaining_quantity: int
    per_customer_limit: int

    @strawberry.field
    async def variant(self, info: Info) -> ProductVariant:
        return variant_of(await info.context.variants.load(self.row.variant_id))


@strawberry.federation.type(keys=["id"])
class FlashSale(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    name: str
    starts_at: datetime
    ends_at: datetime
    status: FlashSaleStatus
    server_time: datetime

    @strawberry.field
    async def items(self, info: Info) -> list[FlashSaleItem]:
        return [item_of(row) for row in await info.context.items_of_sale.load(self.row.id)]

    @strawberry.field
    async def waiting_room(self, info: Info) -> WaitingRoomStats:
        query = select(func.count()).select_from(tickets)
        mine = (tickets.c.sale_id == self.row.id, tickets.c.status == QueueTicketStatus.WAITING.value)
        async with info.context.shop.database.read() as connection:
            waiting = int((await connection.execute(query.where(*mine))).scalar_one())
        rate = self.row.admission_rate
        return WaitingRoomStats(
            waiting=waiting, admitted_per_minute=rate, estimated_wait_seconds=estimated_wait(waiting, rate)
        )


@strawberry.federation.type(keys=["id"])
class QueueTicket(Node):
    id: strawberry.ID
    status: QueueTicketStatus
    position: int | None
    estimated_wait_seconds: int | None
    admission_token: str | None
    admission_expires_at: datetime | None


@strawberry.federation.type(keys=["id"])
class StockClaim(Node):
    row: strawberry.Private[Row[Any]]
    id: strawberry.ID
    quantity: int
    unit_price: Money
    expires_at: datetime
    sequence: int

    @strawberry.field
    async def variant(self, info: Info) -> ProductVariant:
        return variant_of(await info.context.variants.load(self.row.variant_id))


def sale_of(row: Row[Any], remaining: int, now: datetime) -> FlashSale:
    """The GraphQL object of a sale with the units that are left of all its items."""
    return FlashSale(
        row=row,
        id=strawberry.ID(global_id("FlashSale", row.id)),
        name=row.name,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        status=status_of(row.starts_at, row.ends_at, remaining, now),
        server_time=now,
    )


def item_of(row: Row[Any]) -> FlashSaleItem:
    """The GraphQL object of an item row."""
    return FlashSaleItem(
        row=row,
        id=strawberry.ID(global_id("FlashSaleItem", row.id)),
        sale_price=money_of(row.sale_price, row.currency),
        total_quantity=row.total_quantity,
        remaining_quantity=row.remaining,
        per_customer_limit=row.per_customer_limit,
    )


def ticket_of(row: Row[Any], context: Context, counters: Counters | None = None) -> QueueTicket:
    """The GraphQL object of a ticket row, with its sale's counters as they were then or as they are given."""
    line = counters or row
    status, now = QueueTicketStatus(row.status), context.shop.now()
    position = wait = token = None
    if status is QueueTicketStatus.ADMITTED and row.admission_expires_at <= now:
        status = QueueTicketStatus.EXPIRED
    if status is QueueTicketStatus.ADMITTED:
        token = context.flash.tokens.issue(row.id, row.sale_id, row.user_id, row.admission_expires_at)
    if status is QueueTicketStatus.WAITING and row.number is not None:
        position = max(1, row.number - line.admitted_through)
        wait = estimated_wait(position, line.admission_rate)
    return QueueTicket(
        id=strawberry.ID(global_id("QueueTicket", row.id)),
        status=status,
        position=position,
        estimated_wait_seconds=wait,
        admission_token=token,
        admission_expires_at=row.admission_expires_at if token else None,
    )


def claim_of(row: Row[Any]) -> StockClaim:
    """The GraphQL object of a claim row joined with its item (``claims_of``)."""
    return StockClaim(
        row=row,
        id=strawberry.ID(global_id("StockClaim", row.id)),
        quantity=row.quantity,
        unit_price=money_of(row.sale_price, row.currency),
        expires_at=row.expires_at,
        sequence=row.sequence,
    )


async def sales_of(context: Context, ids: Sequence[str]) -> list[FlashSale | None]:
    """Sales by id."""
    left = select(items.c.sale_id, func.sum(items.c.remaining).label("remaining")).group_by(items.c.sale_id).subquery()
    query = select(sales, left.c.remaining).outerjoin(left, left.c.sale_id == sales.c.id).where(sales.c.id.in_(ids))
    async with context.shop.database.read() as connection:
        rows = {row.id: row for row in await connection.execute(query)}
    now = context.shop.now()
    return [sale_of(rows[each], int(rows[each].remaining or 0), now) if each in rows else None for each in ids]


async def items_of(context: Context, ids: Sequence[str]) -> list[FlashSaleItem | None]:
    """Items by id."""
    async with context.shop.database.read() as connection:
        rows = {row.id: row for row in await connection.execute(select(items).where(items.c.id.in_(ids)))}
    return [item_of(rows[each]) if each in rows else None for each in ids]


async def tickets_of(context: Context, ids: Sequence[str]) -> list[QueueTicket | None]:
    """The caller's own tickets by id."""
    user = context.identity.user_id or ""
    rows = await asyncio.gather(*(context.flash.lines.ticket(id, user) for id in ids))
    return [ticket_of(row, context) if row is not None else None for row in rows]


async def claims_of(context: Context, ids: Sequence[str]) -> list[StockClaim | None]:
    """The caller's own claims by id."""
    about = (items.c.variant_id, items.c.sale_price, items.c.currency)
    mine = claims.c.user_id == (context.identity.user_id or "")
    query = select(claims, *about).join(items, items.c.id == claims.c.item_id).where(claims.c.id.in_(ids), mine)
    async with context.shop.database.read() as connection:
        rows = {row.id: row for row in await connection.execute(query)}
    return [claim_of(rows[each]) if each in rows else None for each in ids]


def resolvers() -> Mapping[str, Resolve]:
    """Entities by id."""
    return {
        "FlashSale": _entities("FlashSale", sales_of),
        "FlashSaleItem": _entities("FlashSaleItem", items_of),
        "QueueTicket": _entities("QueueTicket", tickets_of),
        "StockClaim": _entities("StockClaim", claims_of),
    }


def _entities(type_name: str, load: Any) -> Resolve:
    async def resolve(representations: Sequence[Representation], context: Context) -> list[Any]:
        given = [parse_id(each["id"]) if isinstance(each.get("id"), str) else None for each in representations]
        ids = [parsed[1] if parsed and parsed[0] == type_name else "" for parsed in given]
        found: list[Any] = await load(context, ids)
        return found

    return resolve
