"""What a request reads: each batch is one statement, however many objects ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import Row, Select, select

from db.session import Database
from subgraphs.delivery.addresses import Addresses
from subgraphs.delivery.domain import WAITING
from subgraphs.delivery.models import (
    addresses,
    deliveries,
    partner_copies,
    pledge_copies,
    profiles,
    shipment_lines,
    shipments,
    tracking_events,
)
from subgraphs.delivery.service import Shipments
from subgraphs.kit.changes import Changes
from subgraphs.kit.identity import Identity

AnyRow = Row[Any]


class Loaders:
    """One set a request."""

    def __init__(self, database: Database) -> None:
        self._database = database
        live = addresses.c.deleted_at.is_(None)
        self.address = self._one(lambda ids: select(addresses).where(addresses.c.id.in_(ids), live), "id")
        self.addresses_of_user = self._many(
            lambda ids: select(addresses).where(addresses.c.user_id.in_(ids), live).order_by(addresses.c.id), "user_id"
        )
        self.shipment = self._one(lambda ids: select(shipments).where(shipments.c.id.in_(ids)), "id")
        self.shipments_of_order = self._many(
            lambda ids: select(shipments).where(shipments.c.order_id.in_(ids)).order_by(shipments.c.id), "order_id"
        )
        self.shipments_of_pledge = self._many(
            lambda ids: select(shipments).where(shipments.c.pledge_id.in_(ids)).order_by(shipments.c.id), "pledge_id"
        )
        self.shipment_of_return = self._one(
            lambda ids: select(shipments).where(shipments.c.return_id.in_(ids)), "return_id"
        )
        self.waiting_of_seller = self._many(_waiting, "seller_id")
        self.lines = self._many(
            lambda ids: select(shipment_lines).where(shipment_lines.c.shipment_id.in_(ids)), "shipment_id"
        )
        self.shipped_quantity = DataLoader(self._shipped_quantities)
        self.events = self._many(
            lambda ids: (
                select(tracking_events)
                .where(tracking_events.c.shipment_id.in_(ids))
                .order_by(tracking_events.c.occurred_at, tracking_events.c.id)
            ),
            "shipment_id",
        )
        self.delivery = self._one(lambda ids: select(deliveries).where(deliveries.c.order_id.in_(ids)), "order_id")
        self.pledge = self._one(
            lambda ids: select(pledge_copies).where(pledge_copies.c.pledge_id.in_(ids)), "pledge_id"
        )
        self.partner = self._one(
            lambda ids: select(partner_copies).where(partner_copies.c.partner_id.in_(ids)), "partner_id"
        )
        self.profile = self._one(lambda ids: select(profiles).where(profiles.c.id.in_(ids)), "id")

    def _one(self, query: Callable[[Sequence[str]], Select[Any]], key: str) -> DataLoader[str, AnyRow | None]:
        async def load(ids: list[str]) -> list[AnyRow | None]:
            found = {getattr(row, key): row for row in await self._rows(query(ids))}
            return [found.get(each) for each in ids]

        return DataLoader(load)

    def _many(self, query: Callable[[Sequence[str]], Select[Any]], key: str) -> DataLoader[str, list[AnyRow]]:
        async def load(ids: list[str]) -> list[list[AnyRow]]:
            found: dict[str, list[AnyRow]] = defaultdict(list)
            for row in await self._rows(query(ids)):
                found[getattr(row, key)].append(row)
            return [found[each] for each in ids]

        return DataLoader(load)

    async def _shipped_quantities(self, line_ids: list[str]) -> list[int]:
        left = shipments.c.status.not_in([status.value for status in WAITING] + ["CANCELED"])
        query = (
            select(shipment_lines.c.order_line_id, shipment_lines.c.quantity)
            .join(shipments, shipments.c.id == shipment_lines.c.shipment_id)
            .where(shipment_lines.c.order_line_id.in_(line_ids), left, shipments.c.direction == "OUTBOUND")
        )
        sums: dict[str, int] = defaultdict(int)
        for row in await self._rows(query):
            sums[row.order_line_id] += row.quantity
        return [sums[each] for each in line_ids]

    async def _rows(self, query: Select[Any]) -> Sequence[AnyRow]:
        async with self._database.read() as connection:
            rows: Sequence[AnyRow] = (await connection.execute(query)).all()
            return rows


def _waiting(seller_ids: Sequence[str]) -> Select[Any]:
    statuses = [status.value for status in WAITING]
    return (
        select(shipments)
        .where(shipments.c.seller_id.in_(seller_ids), shipments.c.status.in_(statuses), shipments.c.return_id.is_(None))
        .order_by(shipments.c.id)
        .limit(500)
    )


@dataclass(frozen=True, slots=True)
class Context:
    """A request: who asks, what it may do, what it reads."""

    identity: Identity
    addresses: Addresses
    shipments: Shipments
    loaders: Loaders
    changes: Changes
    now: Callable[[], datetime]

    async def sees_order(self, order_id: str) -> bool:
        """Whether the caller bought this order."""
        if "ADMIN" in self.identity.roles:
            return True
        row = await self.loaders.delivery.load(order_id)
        return row is not None and row.buyer_id is not None and row.buyer_id == self.identity.user_id

    async def acts_for(self, partner_id: str) -> bool:
        """Whether the caller is a member of this partner."""
        if "ADMIN" in self.identity.roles:
            return True
        row = await self.loaders.partner.load(partner_id)
        return row is not None and self.identity.user_id in row.member_ids

    async def sees_shipment(self, row: AnyRow) -> bool:
        """The buyer sees it, its seller, and admins."""
        if self.identity.user_id is not None and row.buyer_id == self.identity.user_id:
            return True
        return "ADMIN" in self.identity.roles or bool(row.seller_id and await self.acts_for(row.seller_id))
