"""Parcels that bring returned goods back to their seller: one a return, from where the order was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from messaging.events.orders import ReturnChanged
from subgraphs.delivery.domain import WAITING, ShipmentDirection, ShipmentStatus, seoul_day
from subgraphs.delivery.models import shipment_lines, shipments
from subgraphs.delivery.service import announce_shipments
from subgraphs.kit.business_days import add_business_days
from subgraphs.kit.ids import new_ulid

PICKUP_DAYS = 2
_MADE_BY = {"APPROVED": ShipmentStatus.REQUESTED, "CANCELED": ShipmentStatus.CANCELED}
"""A cancellation that overtakes its approval leaves a cancelled parcel, which the approval finds."""


async def returns_changed(tx: AsyncConnection, changes: Sequence[ReturnChanged], now: datetime) -> None:
    """An approved return gets its parcel; a cancelled one's stays; what has been received has arrived."""
    for each in changes:
        if each.status in _MADE_BY:
            await _make(tx, each, _MADE_BY[each.status], now)
        if each.status == "CANCELED":
            await _change(tx, each, WAITING, ShipmentStatus.CANCELED, now)
        elif each.status == "RECEIVED":
            alive = frozenset(ShipmentStatus) - {ShipmentStatus.CANCELED, ShipmentStatus.DELIVERED}
            await _change(tx, each, alive, ShipmentStatus.DELIVERED, now, delivered_at=now)


async def _make(tx: AsyncConnection, change: ReturnChanged, status: ShipmentStatus, now: datetime) -> None:
    seller_id = change.partner_id or ""
    there = select(shipments).where(shipments.c.order_id == change.order_id, shipments.c.seller_id == seller_id)
    outbound = (await tx.execute(there.order_by(shipments.c.id).limit(1))).first()
    if outbound is None:
        return  # nothing of this order went out from here: there is nothing to fetch
    row = {
        "id": new_ulid(),
        "version": 1,
        "direction": ShipmentDirection.RETURN.value,
        "status": status.value,
        "return_id": change.return_id,
        "seller_id": seller_id,
        "split": "",
        "buyer_id": change.buyer_id,
        "address": outbound.address,
        "created_at": now,
        "estimated_delivery_on": add_business_days(seoul_day(now), PICKUP_DAYS),
    }
    if await insert_ignore(tx, shipments, [row]):
        lines = [
            {"shipment_id": row["id"], "order_line_id": line.order_line_id, "quantity": line.quantity}
            for line in change.lines
        ]
        await tx.execute(insert(shipment_lines), lines)


async def _change(
    tx: AsyncConnection,
    change: ReturnChanged,
    before: frozenset[ShipmentStatus],
    status: ShipmentStatus,
    now: datetime,
    **values: Any,
) -> None:
    mine = shipments.c.return_id == change.return_id, shipments.c.status.in_([each.value for each in before])
    row = (await tx.execute(select(shipments).where(*mine).with_for_update())).first()
    if row is None:
        return
    changed = update(shipments).where(shipments.c.id == row.id)
    await tx.execute(changed.values(status=status.value, version=shipments.c.version + 1, **values))
    await announce_shipments(tx, [row.id], now)
