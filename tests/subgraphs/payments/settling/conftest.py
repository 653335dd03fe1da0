"""Sellers, what they sell, and days that pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from messaging.events.orders import OrderLineFacts, PaymentRequested, RefundedLine, RefundRequested
from messaging.events.users import PartnerChanged, PayoutAccountChanged
from subgraphs.kit.ids import global_id, new_ulid, parse_id
from subgraphs.payments.settling.rules import seoul_day
from tests.subgraphs.payments.conftest import World

OPERATOR = ("settlements:read", "settlements:write", "ledger:read")
DAY = 86_400.0
AMOUNTS = "gross { amount } refunds { amount } commission { amount } commissionTax { amount } net { amount }"
SHOWN = f"id status periodStart periodEnd {AMOUNTS} carried {{ amount }} payable {{ amount }} partner {{ id }}"
CLOSE = f"""mutation($partner: ID!, $end: Date!, $key: String!) {{
  settlementClose(partnerId: $partner, periodEnd: $end, idempotencyKey: $key) {{
    settlement {{ {SHOWN} }} userErrors {{ code field }} }} }}"""
PAY = """mutation($id: ID!, $key: String!) { payoutRequest(settlementId: $id, idempotencyKey: $key) {
  settlement { status payout { status amount { amount } failureReason paidAt scheduledOn } } userErrors { code field }
} }"""
BALANCE = """query($r: [_Any!]!) { _entities(representations: $r) { ... on Partner {
  balance { pending { amount } available { amount } paidOut { amount } } } } }"""
TRIAL = "query($on: Date!) { ledgerTrialBalance(asOf: $on) { account debit { amount } credit { amount } } }"


@dataclass
class Seller:
    id: str
    member: str

    @property
    def global_id(self) -> str:
        return global_id("Partner", self.id)


@dataclass
class Market:
    """Payments, as those see it who sell and those who settle."""

    world: World
    buyer: str
    operator: str
    card: str = ""

    async def seller(self, *, account: str | None = "110123456789") -> Seller:
        seller = Seller(new_ulid(), new_ulid())
        members = (seller.member,)
        changed = PartnerChanged(
            partner_id=seller.id, version=1, slug="s", name="n", status="ACTIVE", member_ids=members
        )
        await self.world.tell(changed)
        if account:
            await self.account(seller, account)
        return seller

    async def account(self, seller: Seller, number: str, version: int = 1) -> None:
        given = {"bank_code": "88", "bank_account_number": number, "holder_name": "김두레"}
        await self.world.tell(PayoutAccountChanged(partner_id=seller.id, version=version, **given))

    async def sale(self, *lines: tuple[Seller | None, int], shipping: int = 0) -> PaymentRequested:
        """An order that is paid."""
        self.card = self.card or await self.world.card(self.buyer)
        order_id = new_ulid()
        wanted = PaymentRequested(
            order_id=order_id,
            order_number=f"D-{order_id}",
            order_name="원두",
            buyer_id=self.buyer,
            amount=sum(total for _, total in lines) + shipping,
            currency="KRW",
            lines=tuple(
                OrderLineFacts(
                    order_line_id=new_ulid(),
                    variant_id=new_ulid(),
                    quantity=1,
                    total=total,
                    partner_id=seller.id if seller else None,
                )
                for seller, total in lines
            ),
            payment_method_id=self.card,
        )
        await self.world.tell(wanted)
        await self.world.work()
        return wanted

    async def back(self, order: PaymentRequested, amount: int, *lines: tuple[int, int]) -> None:
        """A return that is refunded; ``lines``: the number of a line, and what came back of it."""
        named = tuple(RefundedLine(order_line_id=order.lines[at].order_line_id, amount=of) for at, of in lines)
        about = {"return_id": new_ulid(), "order_id": order.order_id, "currency": "KRW", "reason": "반품"}
        await self.world.tell(RefundRequested(**about, amount=amount, lines=named))
        await self.world.work()

    def tomorrow(self) -> date:
        """Let a day pass; the day it is then."""
        self.world.clock.advance(DAY)
        return self.today()

    def today(self) -> date:
        return seoul_day(self.world.clock.now())

    async def booked(self) -> None:
        """Let the bookkeeper do what is old enough soon."""
        self.world.clock.advance(31)
        await self.world.service.bookkeeper.drain()

    async def close(self, seller: Seller, end: date, key: str = "") -> dict[str, Any]:
        return await self.do(CLOSE, partner=seller.global_id, end=end.isoformat(), key=key or new_ulid())

    async def pay(self, settlement_id: str, key: str = "") -> dict[str, Any]:
        return await self.do(PAY, id=settlement_id, key=key or new_ulid())

    async def paid_out(self, later: float = 60.0) -> None:
        """Let the provider and the worker meet."""
        for _ in range(2):
            self.world.clock.advance(later)
            await self.world.service.payouts.drain()

    async def balance(self, seller: Seller) -> tuple[int, int, int] | None:
        """Pending, available and paid out, as the seller sees it."""
        given = [{"__typename": "Partner", "id": seller.global_id}]
        answer = await self.world.ask(BALANCE, seller.member, scopes=["partner:self"], r=given)
        (shown,) = answer["data"]["_entities"]
        found = shown["balance"]
        return found and tuple(int(found[name]["amount"]) for name in ("pending", "available", "paidOut"))

    async def trial(self, on: date | None = None) -> dict[str, tuple[int, int]]:
        """Debit and credit by account."""
        answer = await self.ask(TRIAL, on=(on or self.today()).isoformat())
        rows = answer["data"]["ledgerTrialBalance"]
        return {row["account"]: (int(row["debit"]["amount"]), int(row["credit"]["amount"])) for row in rows}

    async def ask(self, query: str, scopes: Sequence[str] = OPERATOR, **given: Any) -> dict[str, Any]:
        return await self.world.ask(query, self.operator, scopes=scopes, **given)

    async def do(self, query: str, **given: Any) -> dict[str, Any]:
        answer = await self.ask(query, **given)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = next(iter(answer["data"].values()))
        return payload

    async def audit(self) -> list[str]:
        """The invariants of our own books that do not hold."""
        async with self.world.database.read() as connection:
            return [each.invariant for each in await self.world.subgraph.audit(connection)]


def amounts(settlement: dict[str, Any]) -> dict[str, int]:
    return {
        name: int(value["amount"])
        for name, value in settlement.items()
        if isinstance(value, dict) and "amount" in value
    }


def ulid_of(given: str) -> str:
    parsed = parse_id(given)
    assert parsed is not None
    return parsed[1]


@pytest.fixture
def market(world: World, buyer: str) -> Market:
    return Market(world, buyer, new_ulid())
