"""What clients can ask and do about flash sales; products' schema mixes these in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import strawberry
from sqlalchemy import select

from db.statements import after as beyond
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import local_id, named_id, parse_id
from subgraphs.kit.pagination import InvalidPage, page_size
from subgraphs.products.errors import UserError, errors_of
from subgraphs.products.flash import types
from subgraphs.products.flash.domain import FlashSaleStatus, QueueTicketStatus, news_pause
from subgraphs.products.flash.models import sales
from subgraphs.products.flash.service import SCOPE, ItemDraft
from subgraphs.products.flash.types import FlashSale, FlashSaleItem, QueueTicket, StockClaim
from subgraphs.products.types import Info

PAUSE_SECONDS = 0.25
"""Between two news of one watcher: a unit that is claimed every millisecond is not a message every millisecond."""

INSIDE_SECONDS = 1.0


@strawberry.input
class FlashSaleItemInput:
    variant_id: strawberry.ID
    sale_price: Decimal
    quantity: int
    per_customer_limit: int = 1


@strawberry.type
class FlashSalePayload:
    flash_sale: FlashSale | None
    user_errors: list[UserError]


@strawberry.type
class QueueTicketPayload:
    ticket: QueueTicket | None
    user_errors: list[UserError]


@strawberry.type
class StockClaimPayload:
    claim: StockClaim | None
    user_errors: list[UserError]


@strawberry.type
class FlashQuery:
    @strawberry.field
    async def flash_sales(
        self,
        info: Info,
        status: FlashSaleStatus | None = strawberry.UNSET,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> list[FlashSale] | None:
        """The next to end first. ``after``: the id of the last sale seen."""
        context, size, now = info.context, page_size(first), info.context.shop.now()
        query = select(sales.c.id, sales.c.ends_at).order_by(sales.c.ends_at, sales.c.id)
        if status is FlashSaleStatus.ENDED:
            query = query.where(sales.c.ends_at <= now)
        elif status:
            query = query.where(sales.c.ends_at > now)
        async with context.shop.database.read() as connection:
            if after:
                sale_id = named_id("FlashSale", after)
                last = select(sales.c.ends_at).where(sales.c.id == sale_id)
                ends_at = (await connection.execute(last)).scalar()
                if ends_at is None:
                    raise InvalidPage("No sale has the id that is given as after.")
                query = query.where(beyond([sales.c.ends_at, sales.c.id], [ends_at, sale_id]))
            ids = list((await connection.execute(query.limit(500 if status else size))).scalars())
        found = [sale for sale in await types.sales_of(context, ids) if sale is not None]
        return [sale for sale in found if not status or sale.status is status][:size]

    @strawberry.field
    async def flash_sale(self, info: Info, id: strawberry.ID) -> FlashSale | None:
        parsed = parse_id(id)
        if parsed is None or parsed[0] != "FlashSale":
            return None
        (sale,) = await types.sales_of(info.context, [parsed[1]])
        return sale

    @strawberry.federation.field(authenticated=True)
    async def queue_ticket(self, info: Info, id: strawberry.ID) -> QueueTicket | None:
        info.context.identity.require_user()
        parsed = parse_id(id)
        if parsed is None or parsed[0] != "QueueTicket":
            return None
        (ticket,) = await types.tickets_of(info.context, [parsed[1]])
        return ticket


@strawberry.type
class FlashMutation:
    @strawberry.federation.mutation(requires_scopes=[[SCOPE]])
    async def flash_sale_create(
        self, info: Info, name: str, starts_at: datetime, ends_at: datetime, items: list[FlashSaleItemInput]
    ) -> FlashSalePayload:
        context = info.context
        try:
            drafts = [
                ItemDraft(
                    local_id("ProductVariant", each.variant_id, field=["items", str(index), "variantId"]),
                    each.sale_price,
                    each.quantity,
                    each.per_customer_limit,
                )
                for index, each in enumerate(items)
            ]
            times = [_instant(starts_at), _instant(ends_at)]
            sale_id = await context.flash.create(context.identity, name, times[0], times[1], drafts)
        except (Rejected, RejectedTogether) as error:
            return FlashSalePayload(flash_sale=None, user_errors=errors_of(error))
        (sale,) = await types.sales_of(context, [sale_id])
        return FlashSalePayload(flash_sale=sale, user_errors=[])

    @strawberry.federation.mutation(authenticated=True)
    async def flash_sale_enter(self, info: Info, id: strawberry.ID) -> QueueTicketPayload:
        context = info.context
        user = context.identity.require_user()
        try:
            ticket_id = await context.flash.enter(local_id("FlashSale", id, field=["id"]), user)
        except (Rejected, RejectedTogether) as error:
            return QueueTicketPayload(ticket=None, user_errors=errors_of(error))
        (ticket,) = await types.tickets_of(context, [ticket_id])
        return QueueTicketPayload(ticket=ticket, user_errors=[])

    @strawberry.federation.mutation(authenticated=True)
    async def flash_sale_claim(
        self,
        info: Info,
        item_id: strawberry.ID,
        admission_token: str,
        idempotency_key: str,
        quantity: int = 1,
    ) -> StockClaimPayload:
        context = info.context
        user = context.identity.require_user()
        try:
            item = local_id("FlashSaleItem", item_id, field=["itemId"])
            claim_id = await context.flash.claim(item, user, quantity, admission_token, idempotency_key)
        except (Rejected, RejectedTogether) as error:
            return StockClaimPayload(claim=None, user_errors=errors_of(error))
        (claim,) = await types.claims_of(context, [claim_id])
        return StockClaimPayload(claim=claim, user_errors=[])


async def ticket_news(info: Info, id: str) -> AsyncIterator[QueueTicket]:
    """The caller's ticket now, and whenever its place, status or token is another, until the sale is over for him."""
    context = info.context
    user, lines = context.identity.require_user(), context.flash.lines
    ticket_id = local_id("QueueTicket", id, field=["id"])
    row = await lines.ticket(ticket_id, user)
    if row is None:
        raise Rejected("NOT_FOUND", "No QueueTicket has this id.", ["id"])
    told = None
    async with lines.watched(row.sale_id) as line:
        while True:
            if line.concerns(row):
                row = await lines.ticket(ticket_id, user) or row
            ticket = types.ticket_of(row, context, line.counters)
            if ticket != told:
                told = ticket
                yield ticket
            if ticket.status is QueueTicketStatus.LEFT or (line.is_over and not ticket.admission_token):
                return
            await line.news(row, _pause_of(ticket))


def _pause_of(ticket: QueueTicket) -> float | None:
    """Until a ticket without news is looked at again. Whoever was let in is few, and may enter once more; before the
    line is drawn there is nothing to tell."""
    if ticket.status is not QueueTicketStatus.WAITING:
        return INSIDE_SECONDS
    return None if ticket.estimated_wait_seconds is None else news_pause(ticket.estimated_wait_seconds)


async def item_news(info: Info, sale_id: str) -> AsyncIterator[FlashSaleItem]:
    """The items of a sale whose remaining units are others than those told last."""
    context = info.context
    ulid = local_id("FlashSale", sale_id, field=["saleId"])
    told: dict[str, int] = {}
    async for _ in context.shop.changes.listen(f"flash-items:{ulid}", at_once=True):
        rows = await context.flash.lines.items(ulid)
        context.forget()
        for row in rows:
            if told.get(row.id) != row.remaining:
                told[row.id] = row.remaining
                yield types.item_of(row)
        await asyncio.sleep(PAUSE_SECONDS)


def _instant(given: datetime) -> datetime:
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)
