"""A request's context: who asks, the service, and loaders that fetch many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiodataloader import DataLoader

from subgraphs.kit.changes import Changes
from subgraphs.kit.identity import Identity
from subgraphs.payments.effects import Row
from subgraphs.payments.service import ADMIN_SCOPES, Service
from subgraphs.payments.settings import Settings


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


@dataclass
class Context:
    """``renew`` before each event of a subscription: what was loaded for the last one is old."""

    identity: Identity
    service: Service
    settings: Settings
    changes: Changes
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
