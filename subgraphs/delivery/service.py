"""Use cases of shipments: sellers send, carriers report. (Addresses and the order saga have files of their own.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.events import EventData
from messaging.events.delivery import ReturnShipmentChanged, ShipmentChanged, ShippingProfileChanged
from messaging.outbox import record
from subgraphs.delivery.addresses import SOURCE
from subgraphs.delivery.domain import (
    CARRIERS,
    TRACKABLE,
    WAITING,
    Report,
    ShipmentStatus,
    all_delivered,
    fulfillment,
    status_after,
)
from subgraphs.delivery.models import (
    deliveries,
    idempotency,
    outbox,
    partner_copies,
    profiles,
    shipment_lines,
    shipments,
    tracking_events,
)
from subgraphs.kit.changes import Changes
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request, answer, claim
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid

CLOCK_SKEW = timedelta(minutes=10)
"""How far in the future a carrier's clock may be."""


@dataclass(frozen=True, slots=True)
class Split:
    """Units of an order line to send in a parcel of their own."""

    order_line_id: str
    quantity: int


class Shipments:
    """What sellers and carriers do to shipments. Every change is told as ShipmentChanged."""

    def __init__(
        self, database: Database, changes: Changes, wake_relay: Callable[[], None], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._changes = changes
        self._wake_relay = wake_relay
        self._now = now

    async def split(self, who: Identity, order_id: str, splits: Sequence[Split] | None, request: Request) -> str:
        """Send these lines of an order in a shipment of their own (None: the seller's waiting one, as it is).

        Raises Rejected NOT_FOUND, INVALID for units that are not waiting to be sent, IDEMPOTENCY_CONFLICT.
        """

        async def work(tx: AsyncConnection) -> tuple[str, str]:
            (earlier,) = await claim(tx, idempotency, [request])
            if isinstance(earlier, Rejected):
                raise earlier
            if earlier is not None:
                return str(earlier), order_id
            parcel = await self._waiting_parcel(tx, who, order_id)
            shipment_id = str(parcel.id) if not splits else await self._take_out(tx, parcel, splits)
            await answer(tx, idempotency, [(request, shipment_id)])
            return shipment_id, order_id

        return await self._commit(work)

    async def mark_ready(self, who: Identity, shipment_id: str) -> None:
        """The goods are packed: the carrier may come. Doing it again changes nothing. Raises Rejected."""

        async def work(tx: AsyncConnection) -> tuple[str, str]:
            row = await self._lock(tx, who, shipment_id)
            status = ShipmentStatus(row.status)
            if status is ShipmentStatus.READY:
                return row.id, row.order_id
            if status not in WAITING:
                raise Rejected("SHIPMENT_ALREADY_DISPATCHED", f"This shipment is {status.value} already.", ["id"])
            await self._set(tx, row, status=ShipmentStatus.READY.value, ready_at=self._now())
            return row.id, row.order_id

        await self._commit(work)

    async def dispatch(self, who: Identity, shipment_id: str, carrier_code: str, tracking_number: str) -> None:
        """The carrier has it. The same again changes nothing. Raises Rejected."""
        carrier = CARRIERS.get(carrier_code)
        if carrier is None:
            raise Rejected("NOT_FOUND", "No such carrier.", ["carrierCode"])
        number = tracking_number.replace("-", "").replace(" ", "")
        if not carrier.tracking_number.fullmatch(number):
            message = f"{carrier.name} has no tracking numbers like this."
            raise Rejected("INVALID_TRACKING_NUMBER", message, ["trackingNumber"])

        async def work(tx: AsyncConnection) -> tuple[str, str]:
            row = await self._lock(tx, who, shipment_id)
            if row.dispatched_at and (row.carrier_code, row.tracking_number) == (carrier.code, number):
                return row.id, row.order_id
            if ShipmentStatus(row.status) not in WAITING:
                raise Rejected("SHIPMENT_ALREADY_DISPATCHED", f"This shipment is {row.status} already.", ["id"])
            await _check_paid(tx, row.order_id)
            now = self._now()
            await self._set(
                tx,
                row,
                status=ShipmentStatus.DISPATCHED.value,
                carrier_code=carrier.code,
                tracking_number=number,
                ready_at=row.ready_at or now,
                dispatched_at=now,
            )
            return row.id, row.order_id

        await self._commit(work)

    async def report(
        self, shipment_id: str, status: ShipmentStatus, location: str | None, occurred_at: datetime, request: Request
    ) -> None:
        """A carrier's report, in whatever order it comes: all are kept, the status never goes back. Raises Rejected."""
        if status not in TRACKABLE:
            raise Rejected("INVALID", "Carriers do not report this.", ["status"])
        if occurred_at > self._now() + CLOCK_SKEW:
            raise Rejected("INVALID", "This has not happened yet.", ["occurredAt"])
        if location is not None and (len(location) > 100 or not location.isprintable()):
            raise Rejected("INVALID", "At most 100 printable characters.", ["location"])

        async def work(tx: AsyncConnection) -> tuple[str, str]:
            (earlier,) = await claim(tx, idempotency, [request])
            if isinstance(earlier, Rejected):
                raise earlier
            row = (await tx.execute(select(shipments).where(shipments.c.id == shipment_id).with_for_update())).first()
            if row is None:
                raise Rejected("NOT_FOUND", "No such shipment.", ["id"])
            if earlier is None:
                await self._add_report(tx, row, status, location, occurred_at)
                await answer(tx, idempotency, [(request, row.id)])
            return row.id, row.order_id

        await self._commit(work)

    async def _add_report(
        self, tx: AsyncConnection, row: Row[Any], status: ShipmentStatus, location: str | None, occurred_at: datetime
    ) -> None:
        if row.dispatched_at is None:
            raise Rejected("INVALID", "This shipment has not been dispatched.", ["id"])
        event = {
            "id": new_ulid(),
            "shipment_id": row.id,
            "status": status.value,
            "location": location,
            "occurred_at": occurred_at,
            "received_at": self._now(),
        }
        await tx.execute(insert(tracking_events), event)
        query = select(tracking_events.c.status, tracking_events.c.occurred_at)
        seen = await tx.execute(query.where(tracking_events.c.shipment_id == row.id))
        reports = [Report(ShipmentStatus(each.status), each.occurred_at.timestamp()) for each in seen]
        reached = status_after(reports)
        if reached.value == row.status:
            return
        delivered = occurred_at if reached is ShipmentStatus.DELIVERED else None
        await self._set(tx, row, status=reached.value, delivered_at=delivered)

    async def _waiting_parcel(self, tx: AsyncConnection, who: Identity, order_id: str) -> Row[Any]:
        query = (
            select(shipments)
            .where(shipments.c.order_id == order_id, shipments.c.status.in_([status.value for status in WAITING]))
            .order_by(shipments.c.id)
            .with_for_update()
        )
        for row in await tx.execute(query):
            if await may_handle(tx, who, row.seller_id):
                return row
        raise Rejected("NOT_FOUND", "Nothing of this order waits to be sent by you.", ["orderId"])

    async def _take_out(self, tx: AsyncConnection, parcel: Row[Any], splits: Sequence[Split]) -> str:
        """Move units from a waiting parcel into a new one; its id."""
        query = select(shipment_lines).where(shipment_lines.c.shipment_id == parcel.id).with_for_update()
        held = {row.order_line_id: row.quantity for row in await tx.execute(query)}
        taken: dict[str, int] = {}
        for each in splits:
            taken[each.order_line_id] = taken.get(each.order_line_id, 0) + each.quantity
        for line_id, quantity in taken.items():
            if not 1 <= quantity <= held.get(line_id, 0):
                raise Rejected("INVALID", "Only units that wait to be sent can be sent.", ["lines"])
        if taken == held:
            return str(parcel.id)
        shipment_id = new_ulid()
        row = dict(parcel._mapping) | {"id": shipment_id, "split": shipment_id, "version": 1, "created_at": self._now()}
        await tx.execute(insert(shipments), row)
        await tx.execute(
            insert(shipment_lines),
            [{"shipment_id": shipment_id, "order_line_id": key, "quantity": count} for key, count in taken.items()],
        )
        for line_id, quantity in taken.items():
            where = (shipment_lines.c.shipment_id == parcel.id) & (shipment_lines.c.order_line_id == line_id)
            rest = held[line_id] - quantity
            if rest:
                await tx.execute(update(shipment_lines).where(where).values(quantity=rest))
            else:
                await tx.execute(shipment_lines.delete().where(where))
        await self._tell(tx, shipment_id)
        return shipment_id

    async def _lock(self, tx: AsyncConnection, who: Identity, shipment_id: str) -> Row[Any]:
        row = (await tx.execute(select(shipments).where(shipments.c.id == shipment_id).with_for_update())).first()
        if row is None or not await may_handle(tx, who, row.seller_id):
            raise Rejected("NOT_FOUND", "You have no such shipment.", ["id"])
        return row

    async def _set(self, tx: AsyncConnection, row: Row[Any], **values: Any) -> None:
        await tx.execute(
            update(shipments).where(shipments.c.id == row.id).values(version=shipments.c.version + 1, **values)
        )
        await self._tell(tx, row.id)

    async def _tell(self, tx: AsyncConnection, shipment_id: str) -> None:
        await announce_shipments(tx, [shipment_id], self._now())

    async def _commit(self, work: Callable[[AsyncConnection], Any]) -> str:
        shipment_id, order_id = await self._database.run(work)
        self._wake_relay()
        await self._changes.tell(f"shipments:{order_id}")
        return str(shipment_id)


async def _check_paid(tx: AsyncConnection, order_id: str | None) -> None:
    """What has left cannot be taken back, so nothing leaves before its order's saga has ended. Raises Rejected."""
    if order_id is None:
        return
    query = select(deliveries.c.paid).where(deliveries.c.order_id == order_id)
    if not (await tx.execute(query)).scalar_one_or_none():
        raise Rejected("NOT_ALLOWED", "This order is not paid yet.", ["id"])


async def may_handle(tx: AsyncConnection, who: Identity, seller_id: str) -> bool:
    """Whether the caller acts for this seller: a member of the partner, or an admin."""
    if "ADMIN" in who.roles:
        return True
    if not seller_id or who.user_id is None:
        return False
    query = select(partner_copies.c.member_ids).where(partner_copies.c.partner_id == seller_id)
    members = (await tx.execute(query)).scalar_one_or_none()
    return members is not None and who.user_id in members


async def announce_shipments(tx: AsyncConnection, shipment_ids: Sequence[str], now: datetime) -> None:
    """Tell of these shipments as they are in this transaction, each as its order's or its return's; note orders that
    are done."""
    rows = (await tx.execute(select(shipments).where(shipments.c.id.in_(shipment_ids)))).all()
    order_ids = sorted({row.order_id for row in rows if row.order_id})
    siblings: dict[str, list[ShipmentStatus]] = {order_id: [] for order_id in order_ids}
    query = select(shipments.c.order_id, shipments.c.status).where(shipments.c.order_id.in_(order_ids))
    for row in await tx.execute(query):
        siblings[row.order_id].append(ShipmentStatus(row.status))
    events: list[EventData] = [
        _return_shipment_changed(row, now)
        if row.return_id
        else _shipment_changed(row, siblings.get(row.order_id or ""), now)
        for row in rows
    ]
    await record(tx, outbox, SOURCE, events)
    done = [order_id for order_id, statuses in siblings.items() if all_delivered(statuses)]
    if done:
        await tx.execute(update(deliveries).where(deliveries.c.order_id.in_(done)).values(finished=True))


def _shipment_changed(row: Row[Any], siblings: list[ShipmentStatus] | None, now: datetime) -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=row.id,
        version=row.version,
        status=row.status,
        occurred_at=now,
        order_id=row.order_id,
        pledge_id=row.pledge_id,
        order_fulfillment=fulfillment(siblings).value if siblings else None,
        order_delivered=all_delivered(siblings) if siblings else False,
    )


def _return_shipment_changed(row: Row[Any], now: datetime) -> ReturnShipmentChanged:
    return ReturnShipmentChanged(
        return_id=row.return_id, shipment_id=row.id, version=row.version, status=row.status, occurred_at=now
    )


async def announce_profiles(tx: AsyncConnection, profile_ids: Sequence[str]) -> None:
    """Record ShippingProfileChanged for these profiles as they are in this transaction."""
    rows = await tx.execute(select(profiles).where(profiles.c.id.in_(profile_ids)))
    events = [
        ShippingProfileChanged(
            shipping_profile_id=row.id,
            version=row.version,
            name=row.name,
            currency=row.currency,
            base_fee=row.base_fee,
            remote_surcharge=row.remote_surcharge,
            free_over=row.free_over,
        )
        for row in rows
    ]
    await record(tx, outbox, SOURCE, events)
