"""What delivery does when others tell something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.failpoints import failpoint
from db.prepared import Prepared
from db.statements import insert_ignore
from messaging.consumer import Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import DeliveryCancelRequested, DeliveryRequested, OrderPaid, OrderPlaced, ReturnChanged
from messaging.events.users import PartnerChanged, UserChanged
from messaging.outbox import record
from subgraphs.delivery import requests, returns
from subgraphs.delivery.addresses import SOURCE, erase_all
from subgraphs.delivery.models import deliveries, outbox, partner_copies, pledge_copies
from subgraphs.kit.copies import keep


def handlers(now: Callable[[], datetime]) -> Mapping[type[EventData], Handler]:
    """The handler of each event type that delivery consumes."""

    async def delivery_requested(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Callable[[], None]:
        answers = await requests.request(tx, [event.data for event in events], now())
        await record(tx, outbox, SOURCE, answers)
        failpoint("delivery.request.before_commit")
        return lambda: failpoint("delivery.request.after_commit")

    async def cancel_requested(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Callable[[], None]:
        await record(tx, outbox, SOURCE, await requests.cancel(tx, [event.data for event in events]))
        return lambda: failpoint("delivery.cancel.after_commit")

    async def user_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
        await erase_all(tx, sorted({event.data.user_id for event in events if event.data.deleted}), now())

    async def return_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
        await returns.returns_changed(tx, [event.data for event in events], now())

    return {
        ReturnChanged: return_changed,
        DeliveryRequested: delivery_requested,
        DeliveryCancelRequested: cancel_requested,
        OrderPlaced: order_placed,
        OrderPaid: order_paid,
        PledgeReserved: pledges_changed,
        PledgeCanceled: pledges_changed,
        PartnerChanged: partner_changed,
        UserChanged: user_changed,
    }


async def order_placed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    rows = [
        {"order_id": event.data.order_id, "buyer_id": event.data.buyer_id, "paid": False, "finished": False}
        for event in sorted(events, key=lambda each: str(each.data.order_id))
    ]
    if await insert_ignore(tx, deliveries, rows) == len(rows):
        return
    # A cancellation that overtook the order left a row without a buyer.
    wanted = {row["order_id"]: row["buyer_id"] for row in rows}
    for order_id in (await tx.execute(_BARE, {"ids": list(wanted)})).scalars().all():
        unknown = update(deliveries).where(deliveries.c.order_id == order_id, deliveries.c.buyer_id.is_(None))
        await tx.execute(unknown.values(buyer_id=wanted[order_id]))


_BARE = select(deliveries.c.order_id).where(among(deliveries.c.order_id, "ids"), deliveries.c.buyer_id.is_(None))
_PAID = Prepared(
    update(deliveries).where(among(deliveries.c.order_id, "ids"), deliveries.c.buyer_id.is_not(None)).values(paid=True)
)


async def order_paid(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    paid = sorted({event.data.order_id for event in events})
    if await _PAID.change(tx, ids=paid) < len(paid):
        await order_placed(tx, events)  # it is the first that is heard of some of the orders
        await _PAID.change(tx, ids=paid)


async def pledges_changed(tx: AsyncConnection, events: Sequence[Event[PledgeReserved | PledgeCanceled]]) -> None:
    await keep(tx, pledge_copies, [event.data for event in events], _pledge)


def _pledge(data: PledgeReserved | PledgeCanceled) -> dict[str, Any]:
    return {
        "pledge_id": data.pledge_id,
        "version": data.version,
        "backer_id": data.backer_id,
        "address_id": data.shipping_address_id if isinstance(data, PledgeReserved) else None,
        "canceled": isinstance(data, PledgeCanceled),
    }


async def partner_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    await keep(
        tx,
        partner_copies,
        [event.data for event in events],
        lambda data: {
            "partner_id": data.partner_id,
            "version": data.version,
            "status": data.status,
            "member_ids": list(data.member_ids),
        },
    )
