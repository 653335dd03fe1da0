"""Settlements, payouts and the trial balance in the graph, and who sees them.

Operators (``settlements:write`` or ``ledger:read``) see all, whoever works for a seller sees the seller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from strawberry.federation.schema_directives import ListSize

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import global_id, local_id, named_id
from subgraphs.kit.pagination import Page
from subgraphs.kit.types import Money, Node, PageInfo, money_of
from subgraphs.payments.effects import Row
from subgraphs.payments.loaders import Context
from subgraphs.payments.settling.reading import of_member, of_partner
from subgraphs.payments.settling.rules import Earning, PayoutStatus, SettlementStatus
from subgraphs.payments.types import Info, OrderLine, UserError, errors_of

strawberry.enum(SettlementStatus)
strawberry.enum(PayoutStatus)

_PAGED = ListSize(
    slicing_arguments=["first"],
    sized_fields=["edges"],
    assumed_size=strawberry.UNSET,
    require_one_slicing_argument=strawberry.UNSET,
)


@strawberry.type
class Payout:
    id: strawberry.ID
    amount: Money
    status: PayoutStatus
    scheduled_on: date
    paid_at: datetime | None
    failure_reason: str | None

    @staticmethod
    def of(row: Row) -> Payout:
        return Payout(
            id=_id("Payout", row["id"]),
            amount=money_of(row["amount"], row["currency"]),
            status=PayoutStatus(row["status"]),
            scheduled_on=row["scheduled_on"],
            paid_at=row["paid_at"],
            failure_reason=row["failure_reason"],
        )


@strawberry.type
class SettlementLine:
    order_line: OrderLine | None
    gross: Money = strawberry.field(description="Negative for what was given back.")
    commission_rate: Decimal = strawberry.field(description="As it was at the sale: 0.1 is 10 %.")
    commission: Money
    commission_tax: Money
    net: Money
    occurred_at: datetime

    @staticmethod
    def of(row: Row) -> SettlementLine:
        currency = row["currency"]
        return SettlementLine(
            order_line=OrderLine(id=_id("OrderLine", row["order_line_id"])),
            gross=money_of(row["gross"], currency),
            commission_rate=Decimal(row["basis_points"]).scaleb(-4).normalize(),
            commission=money_of(row["commission"], currency),
            commission_tax=money_of(row["tax"], currency),
            net=money_of(Earning(row["gross"], row["commission"], row["tax"]).net, currency),
            occurred_at=row["occurred_at"],
        )


@strawberry.type
class SettlementLineEdge:
    cursor: str
    node: SettlementLine


@strawberry.type
class SettlementLineConnection:
    edges: list[SettlementLineEdge]
    page_info: PageInfo

    @staticmethod
    def of(page: Page[Row]) -> SettlementLineConnection:
        pairs = zip(page.rows, page.cursors, strict=True)
        edges = [SettlementLineEdge(cursor=cursor, node=SettlementLine.of(row)) for row, cursor in pairs]
        return SettlementLineConnection(edges=edges, page_info=page.info)


@strawberry.federation.type(keys=["id"], tags=["partner"])
class Settlement(Node):
    id: strawberry.ID
    row: strawberry.Private[Row]
    period_start: date
    period_end: date = strawberry.field(description="The first day after the period, in Seoul.")
    gross: Money
    refunds: Money = strawberry.field(description="What was given back in the period, whenever it was sold.")
    commission: Money = strawberry.field(description="Of the sales, less that of what was given back.")
    commission_tax: Money
    net: Money = strawberry.field(description="Gross less refunds, commission and the tax on it.")
    carried: Money = strawberry.field(description="What an earlier settlement left owing, negative.")
    payable: Money = strawberry.field(description="Net and carried: what is paid out. Negative: the next carries it.")
    status: SettlementStatus
    closed_at: datetime

    @strawberry.field
    def partner(self) -> Partner | None:
        return Partner(id=_id("Partner", self.row["partner_id"]))

    @strawberry.field(directives=[_PAGED])
    async def lines(
        self, info: Info, first: int | None = 50, after: str | None = strawberry.UNSET
    ) -> SettlementLineConnection:
        context = info.context
        page = await context.service.settling.lines(self.row["id"], first, after or None, context.cursors)
        return SettlementLineConnection.of(page)

    @strawberry.field
    async def payout(self, info: Info) -> Payout | None:
        row = await info.context.loaders.payout_of.load(self.row["id"])
        return Payout.of(row) if row is not None else None

    @staticmethod
    def of(row: Row) -> Settlement:
        amounts = {
            name: money_of(row[name], row["currency"])
            for name in ("gross", "refunds", "commission", "net", "carried", "payable")
        }
        return Settlement(
            id=_id("Settlement", row["id"]),
            row=row,
            period_start=row["period_start"],
            period_end=row["period_end"],
            commission_tax=money_of(row["tax"], row["currency"]),
            status=SettlementStatus(row["status"]),
            closed_at=row["closed_at"],
            **amounts,
        )


@strawberry.type
class SettlementEdge:
    cursor: str
    node: Settlement


@strawberry.type
class SettlementConnection:
    edges: list[SettlementEdge]
    page_info: PageInfo


@strawberry.type
class PartnerBalance:
    pending: Money = strawberry.field(description="Earned and not settled yet.")
    available: Money = strawberry.field(description="Settled and not paid out yet. Negative: what the seller owes.")
    paid_out: Money


@strawberry.federation.type(keys=["id"])
class Partner:
    id: strawberry.ID

    @strawberry.federation.field(requires_scopes=[["partner:self"]], tags=["partner"])
    async def balance(self, info: Info) -> PartnerBalance | None:
        context = info.context
        context.identity.require_scope("partner:self")
        partner_id = named_id("Partner", self.id)
        if partner_id is None or not await context.works_for(partner_id):
            return None
        standing = await context.loaders.standing.load(partner_id)
        return PartnerBalance(
            pending=money_of(standing.pending, standing.currency),
            available=money_of(standing.available, standing.currency),
            paid_out=money_of(standing.paid_out, standing.currency),
        )


@strawberry.type
class LedgerBalance:
    account: str
    debit: Money
    credit: Money


@strawberry.type
class SettlementPayload:
    settlement: Settlement | None
    user_errors: list[UserError]


@strawberry.type
class SettlingQueries:
    """What ``Query`` has of them."""

    @strawberry.federation.field(requires_scopes=[["settlements:read"]], tags=["partner"], directives=[_PAGED])
    async def settlements(
        self,
        info: Info,
        from_: Annotated[date, strawberry.argument(name="from")],
        to: date,
        partner_id: strawberry.ID | None = strawberry.UNSET,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> SettlementConnection | None:
        """Of periods that have a day between the two days, the latest first."""
        context = info.context
        user_id = context.identity.require_user()
        context.identity.require_scope("settlements:read")
        seen = [] if context.settles_all else [of_member(user_id)]
        if partner_id:
            # An id that names nothing is as one that nothing has.
            seen.append(of_partner(named_id("Partner", partner_id) or ""))
        page = await context.service.settling.settlements_between(
            from_, to, seen, first, after or None, context.cursors
        )
        pairs = zip(page.rows, page.cursors, strict=True)
        edges = [SettlementEdge(cursor=cursor, node=Settlement.of(row)) for row, cursor in pairs]
        return SettlementConnection(edges=edges, page_info=page.info)

    @strawberry.federation.field(requires_scopes=[["ledger:read"]])
    async def ledger_trial_balance(self, info: Info, as_of: date) -> list[LedgerBalance] | None:
        """What was booked on each account up to the end of the day in Seoul: both sides come to the same."""
        info.context.identity.require_scope("ledger:read")
        return [
            LedgerBalance(
                account=row["account"],
                debit=money_of(row["debit"], row["currency"]),
                credit=money_of(row["credit"], row["currency"]),
            )
            for row in await info.context.service.settling.trial_balance(as_of)
        ]


@strawberry.type
class SettlingMutations:
    """What ``Mutation`` has of them."""

    @strawberry.federation.field(requires_scopes=[["settlements:write"]])
    async def settlement_close(
        self, info: Info, partner_id: strawberry.ID, period_end: date, idempotency_key: str
    ) -> SettlementPayload:
        """Close what the seller earned before `periodEnd` (a day in Seoul), and was not settled yet."""
        identity, close = info.context.identity, info.context.service.closing.close
        identity.require_scope("settlements:write")

        async def work() -> str:
            partner = local_id("Partner", partner_id, field=["partnerId"])
            return await close(identity, partner, period_end, idempotency_key)

        return await _settled(info, work())

    @strawberry.federation.field(requires_scopes=[["settlements:write"]])
    async def payout_request(self, info: Info, settlement_id: strawberry.ID, idempotency_key: str) -> SettlementPayload:
        """Pay a closed settlement out to the seller's bank account; again only if that failed."""
        identity, request = info.context.identity, info.context.service.payouts.request
        identity.require_scope("settlements:write")

        async def work() -> str:
            settlement = local_id("Settlement", settlement_id, field=["settlementId"])
            return await request(identity, settlement, idempotency_key)

        return await _settled(info, work())


async def _settled(info: Info, work: Awaitable[str]) -> SettlementPayload:
    try:
        settlement_id = await work
    except (Rejected, RejectedTogether) as error:
        return SettlementPayload(settlement=None, user_errors=errors_of(error))
    (row,) = await info.context.service.settling.settlements_by_id([settlement_id])
    return SettlementPayload(settlement=Settlement.of(row) if row is not None else None, user_errors=[])


Representation = Mapping[str, Any]


async def settlements(representations: Sequence[Representation], context: Context) -> list[Settlement | None]:
    ids = [named_id("Settlement", str(each.get("id"))) for each in representations]
    known = sorted({id for id in ids if id})
    seen = dict(zip(known, await asyncio.gather(*map(context.visible_settlement, known)), strict=True))
    rows = [seen[id] if id else None for id in ids]
    return [Settlement.of(row) if row is not None else None for row in rows]


async def partners(representations: Sequence[Representation], _context: Context) -> list[Partner]:
    return [Partner(id=strawberry.ID(str(each["id"]))) for each in representations]


def _id(type_name: str, ulid: str) -> strawberry.ID:
    return strawberry.ID(global_id(type_name, ulid))
