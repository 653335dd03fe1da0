"""What payments does when others ask or tell something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from messaging.consumer import Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import OrderPlaced, PaymentCancelRequested, PaymentRequested, RefundRequested
from messaging.events.users import PartnerChanged, PayoutAccountChanged
from subgraphs.payments.service import Service

Note = Callable[[AsyncConnection, Sequence[Any]], Awaitable[None]]


def handlers(service: Service, now: Callable[[], datetime]) -> Mapping[type[EventData], Handler]:
    """The handler of each event type that payments consumes."""
    intake = service.intake

    async def payment_requested(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Callable[[], None]:
        room = service.charger.room
        jobs = await intake.payments_requested(tx, _facts(events), now(), room)

        def committed() -> None:
            failpoint("payments.request.after_commit")
            service.charger.begin(jobs)
            if len(jobs) == room:  # there may be more
                service.charger.alarm.ring()

        return committed

    async def cancel_requested(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Callable[[], None]:
        await intake.cancels_requested(tx, _facts(events), now())

        def committed() -> None:
            service.charger.alarm.ring()
            service.refunder.alarm.ring()

        return committed

    async def refunds_requested(tx: AsyncConnection, events: Sequence[Event[Any]]) -> Callable[[], None]:
        await service.refunds_requested(tx, _facts(events))
        return service.refunder.alarm.ring

    return {
        RefundRequested: refunds_requested,
        PaymentRequested: payment_requested,
        PaymentCancelRequested: cancel_requested,
        OrderPlaced: _noting(intake.orders_placed),
        PledgeReserved: _noting(intake.pledges_reserved),
        PledgeCanceled: _noting(intake.pledges_canceled),
        PartnerChanged: _noting(intake.partners_changed),
        PayoutAccountChanged: _noting(service.payouts.accounts_changed),
    }


def _noting(note: Note) -> Handler:
    async def handle(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
        await note(tx, _facts(events))

    return handle


def _facts(events: Sequence[Event[Any]]) -> list[Any]:
    return [event.data for event in events]
