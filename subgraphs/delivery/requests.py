"""Step 3 of the order saga: an order asks for delivery, or no longer wants it. Set-based, and repeatable at will.

``order_delivery.state`` decides: the first answer stands, and a request that comes again gets the same answer again.
A cancellation that overtakes its request leaves CANCELED behind, which refuses the request when it comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import MetaData, Row, Text, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows, update_rows
from db.prepared import Prepared
from db.statements import insert_ignore
from messaging.events import EventData
from messaging.events.delivery import DeliveryAccepted, DeliveryCanceled, DeliveryRejected
from messaging.events.orders import DeliveryCancelRequested, DeliveryRequested
from subgraphs.delivery.domain import WAITING, DeliveryState, ShipmentStatus, seoul_day
from subgraphs.delivery.models import addresses, deliveries, shipment_lines, shipments
from subgraphs.kit.business_days import add_business_days
from subgraphs.kit.ids import new_ulid

Decided = Row[str, str | None, str | None]
Rows = Mapping[str, Decided]


_PARCELS = shipments.to_metadata(MetaData())
_PARCELS.c.address.type = Text()  # what an address keeps for its parcels is sealed already


class Home(NamedTuple):
    """An address as it stands now: a parcel goes where its buyer lived when it was ordered. ``parcel``: sealed."""

    user_id: str
    parcel: str
    remote: bool


async def request(tx: AsyncConnection, requests: Sequence[DeliveryRequested], now: datetime) -> list[EventData]:
    """Make the shipments that these orders ask for; the answers, in order."""
    wanted = {each.order_id: each for each in requests}
    states = await _lock(tx, {each.order_id: each.buyer_id for each in wanted.values()})
    new = [each for each in wanted.values() if states[each.order_id].state is None]
    homes = await _homes(tx, [each.address_id for each in new])
    accepted = [each for each in new if _is_theirs(homes.get(each.address_id), each.buyer_id)]
    made = await _ship(tx, accepted, homes, now)
    await _decide(tx, new, made)
    fresh = {each.order_id for each in new}
    return [
        _answer(each, made.get(each.order_id)) if each.order_id in fresh else await _again(tx, states[each.order_id])
        for each in wanted.values()
    ]


async def cancel(tx: AsyncConnection, requests: Sequence[DeliveryCancelRequested]) -> list[EventData]:
    """Cancel the shipments of these orders unless one has left; the answers, in order."""
    order_ids = list({each.order_id: None for each in requests})
    await _lock(tx, dict.fromkeys(order_ids))
    # All of them are held, whatever their status: a seller may be sending one at this moment.
    theirs = select(shipments.c.order_id, shipments.c.status).where(shipments.c.order_id.in_(order_ids))
    held = (await tx.execute(theirs.order_by(shipments.c.id).with_for_update())).all()
    here = {status.value for status in (*WAITING, ShipmentStatus.CANCELED)}
    gone = {row.order_id for row in held if row.status not in here}
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


_LOCK = Prepared(
    select(deliveries.c.order_id, deliveries.c.state, deliveries.c.reason)
    .where(among(deliveries.c.order_id, "ids"))
    .order_by(deliveries.c.order_id)
    .with_for_update()
)
_HOMES = Prepared(
    select(addresses.c.id, addresses.c.user_id, type_coerce(addresses.c.parcel, Text()), addresses.c.remote).where(
        among(addresses.c.id, "ids"), addresses.c.deleted_at.is_(None)
    )
)


async def _lock(tx: AsyncConnection, buyers: Mapping[str, str | None]) -> Rows:
    """The orders' rows, made if need be, held until the commit; in one order, so that nobody waits in a circle."""
    order_ids = sorted(buyers)
    found = {row.order_id: row for row in await _LOCK.rows(tx, ids=order_ids)}
    missing = [order_id for order_id in order_ids if order_id not in found]
    if not missing:
        return found
    new = {"paid": False, "finished": False}
    await insert_ignore(tx, deliveries, [{"order_id": each, "buyer_id": buyers[each], **new} for each in missing])
    return {row.order_id: row for row in await _LOCK.rows(tx, ids=order_ids)}


async def _homes(tx: AsyncConnection, address_ids: Sequence[str]) -> dict[str, Home]:
    if not address_ids:
        return {}
    return {id: Home._make(home) for id, *home in await _HOMES.rows(tx, ids=sorted(set(address_ids)))}


def _is_theirs(home: Home | None, buyer_id: str) -> bool:
    return home is not None and home.user_id == buyer_id


async def _ship(
    tx: AsyncConnection, accepted: Sequence[DeliveryRequested], homes: Mapping[str, Home], now: datetime
) -> dict[str, list[str]]:
    """Insert one shipment a seller with its lines; the shipments' ids by order."""
    made: dict[str, list[str]] = {}
    parcels: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    arrival = {remote: add_business_days(seoul_day(now), 4 if remote else 2) for remote in (False, True)}
    for each in accepted:
        home = homes[each.address_id]
        by_seller: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in each.lines:
            by_seller[line.partner_id or ""].append({"order_line_id": line.order_line_id, "quantity": line.quantity})
        for seller_id in sorted(by_seller):
            shipment_id = new_ulid()
            made.setdefault(each.order_id, []).append(shipment_id)
            parcels.append(
                {
                    "id": shipment_id,
                    "version": 1,
                    "direction": "OUTBOUND",
                    "status": ShipmentStatus.REQUESTED.value,
                    "order_id": each.order_id,
                    "seller_id": seller_id,
                    "split": "",
                    "buyer_id": each.buyer_id,
                    "address": home.parcel,
                    "created_at": now,
                    "estimated_delivery_on": arrival[home.remote],
                }
            )
            contents += [{"shipment_id": shipment_id, **line} for line in by_seller[seller_id]]
    if parcels:
        await insert_rows(tx, _PARCELS, parcels)
        await insert_rows(tx, shipment_lines, contents)
    return made


async def _decide(tx: AsyncConnection, new: Sequence[DeliveryRequested], made: Mapping[str, Sequence[str]]) -> None:
    rows = [
        {
            "order_id": each.order_id,
            "state": (DeliveryState.ACCEPTED if each.order_id in made else DeliveryState.REJECTED).value,
            "reason": None if each.order_id in made else "address",
            "buyer_id": each.buyer_id,
            "address_id": each.address_id if each.order_id in made else None,
            "finished": each.order_id not in made,
        }
        for each in new
    ]
    await update_rows(tx, deliveries, rows, where=["order_id"])


def _answer(each: DeliveryRequested, made: Sequence[str] | None) -> EventData:
    """The answer to a request that was decided now."""
    if made:
        return DeliveryAccepted(order_id=each.order_id, shipment_ids=tuple(made))
    return DeliveryRejected(order_id=each.order_id, reason="address")


async def _again(tx: AsyncConnection, row: Decided) -> EventData:
    """The answer to a request that was decided before."""
    if row.state == DeliveryState.ACCEPTED.value:
        query = select(shipments.c.id).where(shipments.c.order_id == row.order_id).order_by(shipments.c.id)
        ids = (await tx.execute(query)).scalars()
        return DeliveryAccepted(order_id=row.order_id, shipment_ids=tuple(ids))
    return DeliveryRejected(order_id=row.order_id, reason=row.reason or "canceled")
