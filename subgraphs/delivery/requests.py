"""Step 3 of the order saga: an order asks for delivery, or no longer wants it. Set-based, and repeatable at will.

``order_delivery.state`` decides: the first answer stands, and a request that comes again gets the same answer again.
A cancellation that overtakes its request leaves CANCELED behind, which refuses the request when it comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows, update_rows
from db.statements import insert_ignore
from messaging.events import EventData
from messaging.events.delivery import DeliveryAccepted, DeliveryCanceled, DeliveryRejected
from messaging.events.orders import DeliveryCancelRequested, DeliveryRequested
from subgraphs.delivery.domain import WAITING, DeliveryState, ShipmentStatus, add_business_days, is_remote
from subgraphs.delivery.models import addresses, deliveries, shipment_lines, shipments
from subgraphs.kit.ids import new_ulid

Rows = Mapping[str, Row[Any]]


async def request(tx: AsyncConnection, requests: Sequence[DeliveryRequested], now: datetime) -> list[EventData]:
    """Make the shipments that these orders ask for; the answers, in order."""
    wanted = {each.order_id: each for each in requests}
    states = await _lock(tx, {each.order_id: each.buyer_id for each in wanted.values()})
    new = [each for each in wanted.values() if states[each.order_id].state is None]
    homes = await _homes(tx, [each.address_id for each in new])
    accepted = [each for each in new if _is_theirs(homes.get(each.address_id), each.buyer_id)]
    made = await _ship(tx, accepted, homes, now)
    fresh, taken = {each.order_id for each in new}, {each.order_id for each in accepted}
    await _decide(tx, [(each, each.order_id in taken) for each in new])
    return [await _answer(tx, states[order_id], made.get(order_id), order_id in fresh) for order_id in wanted]


async def cancel(tx: AsyncConnection, requests: Sequence[DeliveryCancelRequested]) -> list[EventData]:
    """Cancel the shipments of these orders unless one has left; the answers, in order."""
    order_ids = list({each.order_id: None for each in requests})
    await _lock(tx, dict.fromkeys(order_ids))
    left = select(shipments.c.order_id).where(
        shipments.c.order_id.in_(order_ids),
        shipments.c.status.not_in([status.value for status in (*WAITING, ShipmentStatus.CANCELED)]),
    )
    gone = set((await tx.execute(left.with_for_update())).scalars())
    free = [order_id for order_id in order_ids if order_id not in gone]
    if free:
        await tx.execute(
            update(shipments)
            .where(shipments.c.order_id.in_(free), shipments.c.status != ShipmentStatus.CANCELED.value)
            .values(status=ShipmentStatus.CANCELED.value, version=shipments.c.version + 1)
        )
        changes = {"state": DeliveryState.CANCELED.value, "finished": True}
        await tx.execute(update(deliveries).where(deliveries.c.order_id.in_(free)).values(**changes))
    return [
        DeliveryRejected(order_id=order_id, reason="dispatched")
        if order_id in gone
        else DeliveryCanceled(order_id=order_id)
        for order_id in order_ids
    ]


_LOCK = select(deliveries).where(among(deliveries.c.order_id, "ids")).order_by(deliveries.c.order_id).with_for_update()
_HOMES = select(addresses).where(among(addresses.c.id, "ids"), addresses.c.deleted_at.is_(None))


async def _lock(tx: AsyncConnection, buyers: Mapping[str, str | None]) -> Rows:
    """The orders' rows, made if need be, held until the commit; in one order, so that nobody waits in a circle."""
    order_ids = sorted(buyers)
    rows = [
        {"order_id": order_id, "buyer_id": buyers[order_id], "paid": False, "finished": False} for order_id in order_ids
    ]
    await insert_ignore(tx, deliveries, rows)
    return {row.order_id: row for row in await tx.execute(_LOCK, {"ids": order_ids})}


async def _homes(tx: AsyncConnection, address_ids: Sequence[str]) -> Rows:
    if not address_ids:
        return {}
    return {row.id: row for row in await tx.execute(_HOMES, {"ids": address_ids})}


def _is_theirs(home: Row[Any] | None, buyer_id: str) -> bool:
    return home is not None and home.user_id == buyer_id


async def _ship(
    tx: AsyncConnection, accepted: Sequence[DeliveryRequested], homes: Rows, now: datetime
) -> dict[str, list[str]]:
    """Insert one shipment a seller with its lines; the shipments' ids by order."""
    made: dict[str, list[str]] = defaultdict(list)
    parcels: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    for each in accepted:
        home = homes[each.address_id]
        for seller_id in sorted({line.partner_id or "" for line in each.lines}):
            shipment_id = new_ulid()
            made[each.order_id].append(shipment_id)
            parcels.append(_parcel(shipment_id, each, seller_id, home, now))
            contents += [
                {"shipment_id": shipment_id, "order_line_id": line.order_line_id, "quantity": line.quantity}
                for line in each.lines
                if (line.partner_id or "") == seller_id
            ]
    if parcels:
        await insert_rows(tx, shipments, parcels)
        await insert_rows(tx, shipment_lines, contents)
    return made


def _parcel(shipment_id: str, each: DeliveryRequested, seller_id: str, home: Row[Any], now: datetime) -> dict[str, Any]:
    days = 4 if is_remote(home.postal_code) else 2
    return {
        "id": shipment_id,
        "version": 1,
        "direction": "OUTBOUND",
        "status": ShipmentStatus.REQUESTED.value,
        "order_id": each.order_id,
        "seller_id": seller_id,
        "split": "",
        "buyer_id": each.buyer_id,
        "address": snapshot(home),
        "created_at": now,
        "estimated_delivery_on": add_business_days(now.date(), days),
    }


def snapshot(home: Row[Any]) -> dict[str, str | None]:
    """The address as it stands now: a parcel goes where its buyer lived when it was ordered."""
    names = ("recipient", "phone", "postal_code", "line1", "line2", "delivery_note")
    return {name: getattr(home, name) for name in names}


async def _decide(tx: AsyncConnection, decisions: Sequence[tuple[DeliveryRequested, bool]]) -> None:
    rows = [
        {
            "order_id": each.order_id,
            "state": (DeliveryState.ACCEPTED if accepted else DeliveryState.REJECTED).value,
            "reason": None if accepted else "address",
            "buyer_id": each.buyer_id,
            "address_id": each.address_id if accepted else None,
            "finished": not accepted,
        }
        for each, accepted in decisions
    ]
    await update_rows(tx, deliveries, rows, where=["order_id"])


async def _answer(tx: AsyncConnection, row: Row[Any], made: list[str] | None, new: bool) -> EventData:
    """The answer to a request: for one decided now from ``made``, else from what was decided before."""
    if made:
        return DeliveryAccepted(order_id=row.order_id, shipment_ids=tuple(made))
    if new:
        return DeliveryRejected(order_id=row.order_id, reason="address")
    if row.state == DeliveryState.ACCEPTED.value:
        query = select(shipments.c.id).where(shipments.c.order_id == row.order_id).order_by(shipments.c.id)
        ids = (await tx.execute(query)).scalars()
        return DeliveryAccepted(order_id=row.order_id, shipment_ids=tuple(ids))
    return DeliveryRejected(order_id=row.order_id, reason=row.reason or "canceled")
