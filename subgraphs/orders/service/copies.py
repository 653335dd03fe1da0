"""Copies of facts that other subgraphs own: kept from their events, read when an order is placed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.prepared import Prepared
from messaging.events.delivery import AddressChanged, ShippingProfileChanged
from messaging.events.payments import PaymentMethodChanged
from messaging.events.products import VariantChanged
from messaging.events.users import PartnerChanged, UserChanged
from subgraphs.kit.copies import keep
from subgraphs.orders import models
from subgraphs.orders.domain.placing import ShippingProfile, Variant


async def keep_variants(tx: AsyncConnection, changed: Sequence[VariantChanged]) -> None:
    await keep(tx, models.variants, changed, _variant_row)


async def keep_addresses(tx: AsyncConnection, changed: Sequence[AddressChanged]) -> None:
    await keep(tx, models.addresses, changed, _address_row)


async def keep_payment_methods(tx: AsyncConnection, changed: Sequence[PaymentMethodChanged]) -> None:
    await keep(tx, models.payment_methods, changed, _payment_method_row)


async def keep_shipping_profiles(tx: AsyncConnection, changed: Sequence[ShippingProfileChanged]) -> None:
    await keep(tx, models.shipping_profiles, changed, _profile_row)


async def keep_users(tx: AsyncConnection, changed: Sequence[UserChanged]) -> None:
    await keep(tx, models.users, changed, _user_row)


async def keep_partners(tx: AsyncConnection, changed: Sequence[PartnerChanged]) -> None:
    await keep(tx, models.partners, changed, _partner_row)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a batch of placings decides on, by id."""

    variants: Mapping[str, Variant]
    profiles: Mapping[str, ShippingProfile]
    closed_partners: frozenset[str]
    addresses: Mapping[str, Row[Any]]
    payment_methods: Mapping[str, Row[Any]]
    users: Mapping[str, Row[Any]]


async def facts_for(
    tx: AsyncConnection,
    *,
    variant_ids: Iterable[str] = (),
    address_ids: Iterable[str] = (),
    payment_method_ids: Iterable[str] = (),
    user_ids: Iterable[str] = (),
) -> Facts:
    """The copies of the given ids and of what those name: one statement a table, however many orders."""
    variants = {id: _variant(row) for id, row in (await by_id(tx, models.variants, variant_ids)).items()}
    profile_ids = {variant.shipping_profile_id for variant in variants.values()}
    partner_ids = {variant.partner_id for variant in variants.values() if variant.partner_id}
    partners = await by_id(tx, models.partners, partner_ids)
    return Facts(
        variants=variants,
        profiles={id: _profile(row) for id, row in (await by_id(tx, models.shipping_profiles, profile_ids)).items()},
        closed_partners=frozenset(id for id, row in partners.items() if row.status != "ACTIVE"),
        addresses=await by_id(tx, models.addresses, address_ids),
        payment_methods=await by_id(tx, models.payment_methods, payment_method_ids),
        users=await by_id(tx, models.users, user_ids),
    )


async def by_id(tx: AsyncConnection, table: Table, ids: Iterable[str]) -> dict[str, Row[Any]]:
    """Rows of ``table`` by their primary key."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    (key,) = table.primary_key.columns
    return {getattr(row, key.name): row for row in await _by_id(table).rows(tx, ids=wanted)}


@cache
def _by_id(table: Table) -> Prepared:
    (key,) = table.primary_key.columns
    return Prepared(select(table).where(among(key, "ids")))


def _variant(row: Row[Any]) -> Variant:
    return Variant(
        variant_id=row.variant_id,
        product_id=row.product_id,
        sku=row.sku,
        name=row.name,
        price=row.price,
        currency=row.currency,
        shipping_profile_id=row.shipping_profile_id,
        purchasable=row.purchasable,
        partner_id=row.partner_id,
        purchase_limit=row.purchase_limit,
    )


def _profile(row: Row[Any]) -> ShippingProfile:
    return ShippingProfile(row.currency, row.base_fee, row.remote_surcharge, row.free_over)


def _variant_row(event: VariantChanged) -> dict[str, Any]:
    same = event.variant_name in ("", event.product_name)
    return {
        "variant_id": event.variant_id,
        "version": event.version,
        "product_id": event.product_id,
        "sku": event.sku,
        "name": event.product_name if same else f"{event.product_name} ({event.variant_name})",
        "price": event.price,
        "currency": event.currency,
        "shipping_profile_id": event.shipping_profile_id,
        "purchasable": event.purchasable,
        "partner_id": event.partner_id,
        "purchase_limit": event.purchase_limit,
    }


def _address_row(event: AddressChanged) -> dict[str, Any]:
    gone = event.deleted
    return {
        "address_id": event.address_id,
        "version": event.version,
        "user_id": event.user_id,
        "recipient": "" if gone else event.recipient,
        "phone": "" if gone else event.phone,
        "postal_code": "" if gone else event.postal_code,
        "line1": "" if gone else event.line1,
        "line2": None if gone else event.line2,
        "delivery_note": None if gone else event.delivery_note,
        "remote_area": event.remote_area,
        "deleted": gone,
    }


def _payment_method_row(event: PaymentMethodChanged) -> dict[str, Any]:
    return {
        "payment_method_id": event.payment_method_id,
        "version": event.version,
        "user_id": event.user_id,
        "status": event.status,
    }


def _profile_row(event: ShippingProfileChanged) -> dict[str, Any]:
    return {
        "shipping_profile_id": event.shipping_profile_id,
        "version": event.version,
        "currency": event.currency,
        "base_fee": event.base_fee,
        "remote_surcharge": event.remote_surcharge,
        "free_over": event.free_over,
    }


def _user_row(event: UserChanged) -> dict[str, Any]:
    return {
        "user_id": event.user_id,
        "version": event.version,
        "email_verified": event.email_verified,
        "deleted": event.deleted,
    }


def _partner_row(event: PartnerChanged) -> dict[str, Any]:
    return {
        "partner_id": event.partner_id,
        "version": event.version,
        "status": event.status,
        "member_ids": list(event.member_ids),
    }
