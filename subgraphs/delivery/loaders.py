"""What a request reads: each batch is one statement, however many objects ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Row, select

from db.reads import by_key
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
from subgraphs.kit.rows import ManyRows, OneRow

AnyRow = Row[Any]


_LIVE = select(addresses).where(addresses.c.deleted_at.is_(None))
_SHIPMENTS = select(shipments).order_by(shipments.c.id)
_GONE = shipments.c.status.not_in([status.value for status in WAITING] + ["CANCELED"])

_ADDRESS = by_key(_LIVE, addresses.c.id)
_ADDRESSES_OF_USER = by_key(_LIVE.order_by(addresses.c.id), addresses.c.user_id)
_SHIPMENT = by_key(select(shipments), shipments.c.id)
_SHIPMENTS_OF_ORDER = by_key(_SHIPMENTS, shipments.c.order_id)
_SHIPMENTS_OF_PLEDGE = by_key(_SHIPMENTS, shipments.c.pledge_id)
_SHIPMENT_OF_RETURN = by_key(select(shipments), shipments.c.return_id)
_WAITING_OF_SELLER = by_key(
    _SHIPMENTS.where(
        shipments.c.status.in_([status.value for status in WAITING]), shipments.c.return_id.is_(None)
    ).limit(500),
    shipments.c.seller_id,
)
_LINES = by_key(select(shipment_lines), shipment_lines.c.shipment_id)
_SHIPPED = by_key(
    select(shipment_lines.c.quantity)
    .join(shipments, shipments.c.id == shipment_lines.c.shipment_id)
    .where(_GONE, shipments.c.direction == "OUTBOUND"),
    shipment_lines.c.order_line_id,
)
_EVENTS = by_key(
    select(tracking_events).order_by(tracking_events.c.occurred_at, tracking_events.c.id),
    tracking_events.c.shipment_id,
)
_DELIVERY = by_key(select(deliveries), deliveries.c.order_id)
_PLEDGE = by_key(select(pledge_copies), pledge_copies.c.pledge_id)
_PARTNER = by_key(select(partner_copies), partner_copies.c.partner_id)
_PROFILE = by_key(select(profiles), profiles.c.id)


class Loaders:
    """One set a request, each made when it is first asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def address(self) -> OneRow:
        return OneRow(self._database, _ADDRESS)

    @cached_property
    def addresses_of_user(self) -> ManyRows:
        return ManyRows(self._database, _ADDRESSES_OF_USER)

    @cached_property
    def shipment(self) -> OneRow:
        return OneRow(self._database, _SHIPMENT)

    @cached_property
    def shipments_of_order(self) -> ManyRows:
        return ManyRows(self._database, _SHIPMENTS_OF_ORDER)

    @cached_property
    def shipments_of_pledge(self) -> ManyRows:
        return ManyRows(self._database, _SHIPMENTS_OF_PLEDGE)

    @cached_property
    def shipment_of_return(self) -> OneRow:
        return OneRow(self._database, _SHIPMENT_OF_RETURN)

    @cached_property
    def waiting_of_seller(self) -> ManyRows:
        return ManyRows(self._database, _WAITING_OF_SELLER)

    @cached_property
    def lines(self) -> ManyRows:
        return ManyRows(self._database, _LINES)

    @cached_property
    def shipped(self) -> ManyRows:
        """By order line: what of it has left, shipment by shipment."""
        return ManyRows(self._database, _SHIPPED)

    @cached_property
    def events(self) -> ManyRows:
        return ManyRows(self._database, _EVENTS)

    @cached_property
    def delivery(self) -> OneRow:
        return OneRow(self._database, _DELIVERY)

    @cached_property
    def pledge(self) -> OneRow:
        return OneRow(self._database, _PLEDGE)

    @cached_property
    def partner(self) -> OneRow:
        return OneRow(self._database, _PARTNER)

    @cached_property
    def profile(self) -> OneRow:
        return OneRow(self._database, _PROFILE)


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
