"""Use cases of addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import phonenumbers
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.events.delivery import AddressChanged
from messaging.outbox import record
from subgraphs.delivery.domain import is_postal_code, is_remote
from subgraphs.delivery.models import addresses, deliveries, outbox, pledge_copies, shipments
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import new_ulid

SOURCE = "/dure/delivery"
_ERASED = {
    "recipient": "",
    "phone": "",
    "postal_code": "",
    "line1": "",
    "line2": None,
    "delivery_note": None,
    "label": None,
    "parcel": None,
    "remote": False,
    "is_default": False,
}


@dataclass(frozen=True, slots=True)
class NewAddress:
    """What a user writes on a parcel. ``as_default``: use it when nothing else is said."""

    recipient: str
    phone: str
    postal_code: str
    line1: str
    label: str | None = None
    line2: str | None = None
    delivery_note: str | None = None
    as_default: bool = False


_LENGTHS = {"recipient": 100, "line1": 200, "label": 50, "line2": 200, "delivery_note": 200}
_NAMES = {"delivery_note": "deliveryNote"}


def checked(given: NewAddress) -> NewAddress:
    """The address in its normal form. Raises RejectedTogether with everything that is wrong with it."""
    wrong: list[Rejected] = []
    texts: dict[str, str | None] = {}
    for name, length in _LENGTHS.items():
        value = getattr(given, name)
        text = value.strip() if value is not None else None
        path = ["input", _NAMES.get(name, name)]
        if text is not None and (len(text) > length or not text.isprintable()):
            wrong.append(Rejected("INVALID", f"At most {length} printable characters.", path))
        elif name in ("recipient", "line1") and not text:
            wrong.append(Rejected("REQUIRED", "This must not be empty.", path))
        texts[name] = text or None
    phone = _phone(given.phone)
    if phone is None:
        wrong.append(Rejected("INVALID", "This is not a phone number that can be called in Korea.", ["input", "phone"]))
    if not is_postal_code(given.postal_code.strip()):
        wrong.append(Rejected("INVALID_POSTAL_CODE", "A postal code has five digits.", ["input", "postalCode"]))
    if wrong:
        raise RejectedTogether(wrong)
    return NewAddress(
        recipient=texts["recipient"] or "",
        phone=phone or "",
        postal_code=given.postal_code.strip(),
        line1=texts["line1"] or "",
        label=texts["label"],
        line2=texts["line2"],
        delivery_note=texts["delivery_note"],
        as_default=given.as_default,
    )


def _phone(given: str) -> str | None:
    """The number in E.164, or None if it is none."""
    if len(given) > 40:
        return None
    try:
        number = phonenumbers.parse(given, "KR")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Addresses:
    """Addresses of users. Every change is told as AddressChanged."""

    def __init__(
        self, database: Database, wake_relay: Callable[[], None], now: Callable[[], datetime], limit: int
    ) -> None:
        self._database = database
        self._wake_relay = wake_relay
        self._now = now
        self._limit = limit

    async def create(self, user_id: str, given: NewAddress) -> str:
        """Add an address; its id. The first one is the default. Raises Rejected ADDRESS_LIMIT_REACHED and others."""
        wanted = checked(given)
        address_id = new_ulid()

        async def work(tx: AsyncConnection) -> None:
            held = await self._lock_own(tx, user_id)
            if len(held) >= self._limit:
                raise Rejected("ADDRESS_LIMIT_REACHED", f"At most {self._limit} addresses; delete one first.")
            final = replace(wanted, as_default=wanted.as_default or not held)
            if final.as_default:
                await _clear_default(tx, user_id)
            row = {"id": address_id, "user_id": user_id, "version": 1, **columns(final)}
            await tx.execute(insert(addresses), row)
            await announce(tx, [address_id])

        await self._commit(work)
        return address_id

    async def update(self, user_id: str, address_id: str, given: NewAddress) -> None:
        """Replace an address of the user. Parcels under way keep the one they have. Raises Rejected NOT_FOUND."""
        wanted = checked(given)

        async def work(tx: AsyncConnection) -> None:
            held = await self._lock_own(tx, user_id)
            if address_id not in held:
                raise Rejected("NOT_FOUND", "You have no such address.", ["id"])
            final = replace(wanted, as_default=wanted.as_default or held[address_id].is_default)
            if final.as_default:
                await _clear_default(tx, user_id)
            changes = {**columns(final), "version": addresses.c.version + 1}
            await tx.execute(update(addresses).where(addresses.c.id == address_id).values(**changes))
            await announce(tx, [address_id])

        await self._commit(work)

    async def delete(self, user_id: str, address_id: str) -> None:
        """Erase an address. Raises Rejected NOT_FOUND, or ADDRESS_IN_USE while a parcel or a pledge needs it."""

        async def work(tx: AsyncConnection) -> None:
            held = await self._lock_own(tx, user_id)
            if address_id not in held:
                raise Rejected("NOT_FOUND", "You have no such address.", ["id"])
            if await _in_use(tx, user_id, address_id):
                raise Rejected("ADDRESS_IN_USE", "An order or pledge under way goes there.", ["id"])
            await _erase(tx, [address_id], self._now())
            heir = max((other for other in held if other != address_id), default=None)
            if held[address_id].is_default and heir:
                await tx.execute(update(addresses).where(addresses.c.id == heir).values(is_default=True))

        await self._commit(work)

    async def _lock_own(self, tx: AsyncConnection, user_id: str) -> Mapping[str, Row[Any]]:
        query = (
            select(addresses)
            .where(addresses.c.user_id == user_id, addresses.c.deleted_at.is_(None))
            .order_by(addresses.c.id)
            .with_for_update()
        )
        return {row.id: row for row in await tx.execute(query)}

    async def _commit(self, work: Callable[[AsyncConnection], Any]) -> None:
        await self._database.run(work)
        self._wake_relay()


_ON_A_PARCEL = ("recipient", "phone", "postal_code", "line1", "line2", "delivery_note")


def columns(given: NewAddress) -> dict[str, Any]:
    """What is kept of an address."""
    parcel = {name: getattr(given, name) for name in _ON_A_PARCEL}
    more = {"label": given.label, "remote": is_remote(given.postal_code), "is_default": given.as_default}
    return {**parcel, "parcel": parcel, **more}


async def _clear_default(tx: AsyncConnection, user_id: str) -> None:
    await tx.execute(update(addresses).where(addresses.c.user_id == user_id).values(is_default=False))


async def _in_use(tx: AsyncConnection, user_id: str, address_id: str) -> bool:
    by_order = (
        select(func.count())
        .select_from(deliveries.join(shipments, shipments.c.order_id == deliveries.c.order_id))
        .where(shipments.c.buyer_id == user_id, deliveries.c.address_id == address_id, deliveries.c.finished.is_(False))
    )
    by_pledge = select(func.count()).where(
        pledge_copies.c.address_id == address_id, pledge_copies.c.canceled.is_(False)
    )
    return bool((await tx.execute(by_order)).scalar_one() or (await tx.execute(by_pledge)).scalar_one())


async def erase_all(tx: AsyncConnection, user_ids: Sequence[str], now: datetime) -> None:
    """Erase the addresses of users who have withdrawn. What was sent to them stays with the orders it belongs to."""
    theirs = select(addresses.c.id).where(addresses.c.user_id.in_(user_ids), addresses.c.deleted_at.is_(None))
    await _erase(tx, list((await tx.execute(theirs.order_by(addresses.c.id))).scalars()), now)


async def _erase(tx: AsyncConnection, address_ids: Sequence[str], now: datetime) -> None:
    changes = {**_ERASED, "deleted_at": now, "version": addresses.c.version + 1}
    await tx.execute(update(addresses).where(addresses.c.id.in_(address_ids)).values(**changes))
    await announce(tx, address_ids)


async def announce(tx: AsyncConnection, address_ids: Sequence[str]) -> None:
    """Record AddressChanged for these addresses as they are in this transaction."""
    rows = await tx.execute(select(addresses).where(addresses.c.id.in_(address_ids)))
    await record(tx, outbox, SOURCE, [_changed(row) for row in rows])


def _changed(row: Row[Any]) -> AddressChanged:
    return AddressChanged(
        address_id=row.id,
        version=row.version,
        user_id=row.user_id,
        recipient=row.recipient,
        phone=row.phone,
        postal_code=row.postal_code,
        line1=row.line1,
        line2=row.line2,
        delivery_note=row.delivery_note,
        remote_area=row.remote,
        deleted=row.deleted_at is not None,
    )
