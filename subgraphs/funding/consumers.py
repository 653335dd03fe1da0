"""What funding does when others tell something: it keeps the facts that its decisions need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.consumer import Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.delivery import AddressChanged
from messaging.events.payments import PaymentMethodChanged
from messaging.events.users import UserChanged
from subgraphs.funding.models import address_copies, payment_method_copies, user_copies
from subgraphs.kit.copies import keep


async def user_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    await keep(
        tx,
        user_copies,
        [event.data for event in events],
        lambda data: {
            "user_id": data.user_id,
            "version": data.version,
            "display_name": data.display_name,
            "avatar_url": data.avatar_url,
            "email_verified": data.email_verified and not data.deleted,
        },
    )


async def payment_method_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    await keep(
        tx,
        payment_method_copies,
        [event.data for event in events],
        lambda data: {
            "payment_method_id": data.payment_method_id,
            "version": data.version,
            "user_id": data.user_id,
            "status": data.status,
        },
    )


async def address_changed(tx: AsyncConnection, events: Sequence[Event[Any]]) -> None:
    await keep(
        tx,
        address_copies,
        [event.data for event in events],
        lambda data: {
            "address_id": data.address_id,
            "version": data.version,
            "user_id": data.user_id,
            "deleted": data.deleted,
        },
    )


HANDLERS: Mapping[type[EventData], Handler] = {
    UserChanged: user_changed,
    PaymentMethodChanged: payment_method_changed,
    AddressChanged: address_changed,
}
