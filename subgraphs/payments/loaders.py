"""A request's context: who asks, the service, and loaders that fetch many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiodataloader import DataLoader

from subgraphs.kit.changes import Changes
from subgraphs.kit.identity import Identity
from subgraphs.kit.pagination import Cursors
from subgraphs.payments.effects import Row
from subgraphs.payments.service import ADMIN_SCOPES, Service
from subgraphs.payments.settings import Settings
from subgraphs.payments.settling.reading import Standing

SETTLING_SCOPES = frozenset({"settlements:write", "ledger:read"})


class Loaders:
    """One set a request."""

    def __init__(self, service: Service) -> None:
        self.payment: DataLoader[str, Row | None] = DataLoader(service.payments_by_id)
        self.refund: DataLoader[str, Row | None] = DataLoader(service.refunds_by_id)
        self.method: DataLoader[str, Row | None] = DataLoader(service.methods_by_id)
        self.commission: DataLoader[str, Row | None] = DataLoader(service.commissions_by_line)
        self.payable: DataLoader[tuple[str, str], Row | None] = DataLoader(service.payables_by_id)
        self.payments_of: DataLoader[tuple[str, str], list[Row]] = DataLoader(service.payments_of_payables)
        self.attempts_of: DataLoader[str, list[Row]] = DataLoader(service.attempts_of_payments)
        self.refunds_of: DataLoader[str, list[Row]] = DataLoader(service.refunds_of_payments)
        self.methods_of: DataLoader[str, list[Row]] = DataLoader(service.methods_of_users)
        settling = service.settling
        self.settlement: DataLoader[str, Row | None] = DataLoader(settling.settlements_by_id)
        self.payout_of: DataLoader[str, Row | None] = DataLoader(settling.payouts_of)
        self.partner: DataLoader[str, Row | None] = DataLoader(settling.partners_by_id)
        self.standing: DataLoader[str, Standing] = DataLoader(settling.standings)


@dataclass
class Context:
    """``renew`` before each event of a subscription: what was loaded for the last one is old."""

    identity: Identity
    service: Service
    settings: Settings
    changes: Changes
    cursors: Cursors
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.loaders = Loaders(self.service)

    def may_see(self, payment: Row) -> bool:
        """The payer sees a payment, and those who administer payments."""
        return self.identity.user_id is not None and (payment["payer_id"] == self.identity.user_id or self.is_admin)

    @property
    def is_admin(self) -> bool:
        return not ADMIN_SCOPES.isdisjoint(self.identity.scopes)

    @property
    def settles_all(self) -> bool:
        """Operators see the settlements of all sellers."""
        return not SETTLING_SCOPES.isdisjoint(self.identity.scopes)

    async def works_for(self, partner_id: str) -> bool:
        """Whether the caller is a member of this seller."""
        partner = await self.loaders.partner.load(partner_id)
        return partner is not None and self.identity.user_id in partner["member_ids"]

    async def visible_settlement(self, settlement_id: str) -> Row | None:
        row = await self.loaders.settlement.load(settlement_id)
        if row is None or not (self.settles_all or await self.works_for(row["partner_id"])):
            return None
        return row

    async def visible_payment(self, payment_id: str) -> Row | None:
        row = await self.loaders.payment.load(payment_id)
        return row if row is not None and self.may_see(row) else None

    async def payments_of(self, type: str, id: str) -> list[Row] | None:
        """The payments of a payable of the caller's; None for another's."""
        key: Any = (type, id)
        payable = await self.loaders.payable.load(key)
        if payable is None or self.identity.user_id is None:
            return None
        if payable["owner_id"] != self.identity.user_id and not self.is_admin:
            return None
        return await self.loaders.payments_of.load(key)
