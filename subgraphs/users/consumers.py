"""What the other subgraphs' events do here: they are remembered as engagements, and told to whom they concern."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.consumer import Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.delivery import ShipmentChanged
from messaging.events.funding import BackerTold, PledgeCanceled, PledgeReserved
from messaging.events.orders import OrderCanceled, OrderConfirmed, OrderPlaced, ReturnChanged
from messaging.events.payments import (
    PaymentAwaitingDeposit,
    PaymentCanceled,
    PaymentCaptured,
    PaymentFailed,
    PayoutAccountRequested,
    PayoutCompleted,
)
from subgraphs.users.letters import amount_text, project_facts
from subgraphs.users.models import partner_members
from subgraphs.users.service import engagements
from subgraphs.users.service.announce import announce_accounts
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.engagements import Engagement, OwnersNotice
from subgraphs.users.service.notifications import Notice, notify, tell

Hook = Callable[[], None]

CONSUMES: tuple[type[EventData], ...] = (
    OrderPlaced,
    OrderCanceled,
    OrderConfirmed,
    ReturnChanged,
    PledgeReserved,
    PledgeCanceled,
    BackerTold,
    PaymentCaptured,
    PaymentFailed,
    PaymentAwaitingDeposit,
    PaymentCanceled,
    PayoutAccountRequested,
    PayoutCompleted,
    ShipmentChanged,
)

_PROJECT_NOTICES = {
    "UPDATED": ("PROJECT_UPDATED", "PROJECT_UPDATED"),
    "CANCELED": ("PROJECT_CANCELED", "PROJECT_CANCELED"),
    "FAILED": ("PLEDGE_FAILED", "GOAL_MISSED"),
}
"""The type of each news, and its text: that a pledge failed has two reasons."""
_SHIPMENT_NOTICES = {"READY": "SHIPMENT_READY", "DISPATCHED": "SHIPMENT_DISPATCHED", "DELIVERED": "DELIVERED"}


def handlers(deps: Deps) -> Mapping[type[EventData], Handler]:
    """The handler of each consumed event."""
    news = _News(deps)
    return {
        BackerTold: news.backed,
        ReturnChanged: news.returned,
        OrderPlaced: news.begun,
        PledgeReserved: news.begun,
        OrderCanceled: ended,
        OrderConfirmed: ended,
        PledgeCanceled: ended,
        PaymentCaptured: news.paid,
        PaymentFailed: news.paid,
        PaymentAwaitingDeposit: news.paid,
        PaymentCanceled: news.paid,
        PayoutAccountRequested: news.accounts_wanted,
        PayoutCompleted: news.settled,
        ShipmentChanged: news.shipped,
    }


async def ended(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    """Orders and pledges that a withdrawal need not wait for any more."""
    await engagements.close(tx, [_engagement(event.data) for event in events])


class _News:
    """What becomes notifications. Whoever got a new one is told after the commit."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._telling: set[asyncio.Task[None]] = set()

    def _hook(self, user_ids: Sequence[str]) -> Hook:
        def run() -> None:
            self._deps.wake()
            task = asyncio.get_running_loop().create_task(tell(self._deps, user_ids))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        return run

    async def _notify(self, tx: AsyncConnection, notices: Sequence[Notice]) -> Hook:
        return self._hook(await notify(tx, self._deps, notices))

    async def begun(self, tx: AsyncConnection, events: Sequence[Event[Any]]) -> Hook:
        await engagements.remember(tx, [_engagement(event.data) for event in events])
        return self._hook(await engagements.release_waiting(tx, self._deps))

    async def paid(self, tx: AsyncConnection, events: Sequence[Event[Any]]) -> Hook:
        return await self._notify(tx, await _payment_notices(tx, events))

    async def shipped(self, tx: AsyncConnection, events: Sequence[Event[ShipmentChanged]]) -> Hook:
        arrived = [each.data.pledge_id for each in events if each.data.pledge_id and each.data.status == "DELIVERED"]
        await engagements.close_by_id(tx, arrived)
        wanted = [notice for each in events for notice in _shipment_notices(each)]
        return self._hook(await engagements.notify_owners(tx, self._deps, wanted))

    async def returned(self, tx: AsyncConnection, events: Sequence[Event[ReturnChanged]]) -> Hook:
        return await self._notify(tx, [each for each in map(_return_notice, events) if each is not None])

    async def settled(self, tx: AsyncConnection, events: Sequence[Event[PayoutCompleted]]) -> Hook:
        return await self._notify(tx, await _payout_notices(tx, events))

    async def accounts_wanted(self, tx: AsyncConnection, events: Sequence[Event[PayoutAccountRequested]]) -> Hook:
        await announce_accounts(tx, sorted({event.data.partner_id for event in events}))
        return self._deps.wake

    async def backed(self, tx: AsyncConnection, events: Sequence[Event[BackerTold]]) -> Hook:
        return await self._notify(tx, [_project_notice(event) for event in events])


def _engagement(
    data: OrderPlaced | OrderCanceled | OrderConfirmed | PledgeReserved | PledgeCanceled,
) -> Engagement:
    if isinstance(data, PledgeReserved | PledgeCanceled):
        return Engagement(data.pledge_id, "Pledge", data.backer_id)
    return Engagement(data.order_id, "Order", data.buyer_id, getattr(data, "order_number", ""))


async def _payment_notices(tx: AsyncConnection, events: Sequence[Event[Any]]) -> list[Notice]:
    known = await engagements.known(tx, [event.data.payable_id for event in events])
    notices = []
    for event in events:
        told = _payment_notice(event.data)
        if told is None:
            continue
        type, recipient, facts = told
        subject = (event.data.payable_type, event.data.payable_id)
        label = known[event.data.payable_id].label if event.data.payable_id in known else ""
        notices.append(Notice(event.id, recipient, type, facts, subject, (event.data.payable_type, label)))
    return notices


def _payment_notice(
    data: PaymentCaptured | PaymentFailed | PaymentAwaitingDeposit | PaymentCanceled,
) -> tuple[str, str, dict[str, str]] | None:
    """Type, recipient and facts, or None when there is nothing to tell."""
    match data:
        case PaymentCaptured():
            return "PAYMENT_COMPLETED", data.payer_id, {"amount": amount_text(data.amount, data.currency)}
        case PaymentFailed():
            return "PLEDGE_FAILED" if data.payable_type == "Pledge" else "PAYMENT_FAILED", data.payer_id, {}
        case PaymentAwaitingDeposit():
            return "DEPOSIT_WAITING", data.payer_id, {}
        case PaymentCanceled() if data.payer_id and data.refunded:
            return "REFUND_COMPLETED", data.payer_id, {"amount": amount_text(data.refunded, data.currency)}
        case _:
            return None


async def _payout_notices(tx: AsyncConnection, events: Sequence[Event[PayoutCompleted]]) -> list[Notice]:
    """What everybody who works for the seller is told of the money."""
    members = select(partner_members).where(partner_members.c.partner_id.in_({each.data.partner_id for each in events}))
    rows = (await tx.execute(members.order_by(partner_members.c.user_id))).all()
    return [
        Notice(
            event.id,
            row.user_id,
            "SETTLEMENT_PAID",
            {
                "amount": amount_text(event.data.amount, event.data.currency),
                "start": str(event.data.period_start),
                "last": str(event.data.period_end - timedelta(days=1)),
            },
            ("Settlement", event.data.settlement_id),
        )
        for event in events
        for row in rows
        if row.partner_id == event.data.partner_id
    ]


def _project_notice(event: Event[BackerTold]) -> Notice:
    """What a backer is told of the project."""
    data = event.data
    type, letter = _PROJECT_NOTICES[data.news]
    facts = project_facts(data.title, data.changed, data.reason)
    return Notice(event.id, data.backer_id, type, facts, ("Project", data.project_id), letter=letter)


def _return_notice(event: Event[ReturnChanged]) -> Notice | None:
    """What the buyer is told of his return, or None when there is nothing to tell."""
    data = event.data
    facts = {
        "APPROVED": ("RETURN_APPROVED", {}),
        "REJECTED": ("RETURN_REJECTED", {"note": data.note or ""}),
        "REFUNDED": ("REFUND_COMPLETED", {"amount": amount_text(data.refund_amount, data.currency)}),
    }
    if data.status not in facts or (data.status == "REFUNDED" and not data.refund_amount):
        return None
    type, more = facts[data.status]
    return Notice(event.id, data.buyer_id, type, more, ("Return", data.return_id), ("Order", data.order_number))


def _shipment_notices(event: Event[ShipmentChanged]) -> list[OwnersNotice]:
    data = event.data
    owner = data.order_id or data.pledge_id
    if owner is None:
        return []
    found = []
    if type := _SHIPMENT_NOTICES.get(data.status):
        found.append(OwnersNotice(event.id, type, owner, ("Shipment", data.shipment_id)))
    if data.order_delivered and data.order_id and data.status == "DELIVERED":
        found.append(OwnersNotice(event.id, "PURCHASE_CONFIRMATION_REQUESTED", owner, ("Order", data.order_id)))
    return found
