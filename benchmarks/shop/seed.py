"""Fills a new shop for the benchmark: the demo's data, buyers who can pay, stock for all that they will buy.

A process of its own, so that it reads its settings as the shop does: ``seed FILE BUYERS UNITS`` before the shop starts;
``tickets FILE BUYERS`` once it runs, which waits until every subgraph has been told and writes what the load needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.statements import insert_ignore
from dure import demo_data
from dure.cli import _settings as settings_of_environment
from dure.databases import migrate, open_database, until_told
from dure.demo_data.ids import EPOCH, ulid_of
from dure.settings import Settings
from subgraphs.delivery import models as delivery
from subgraphs.delivery.addresses import NewAddress, columns
from subgraphs.delivery.addresses import announce as announce_addresses
from subgraphs.kit.ids import global_id
from subgraphs.orders import models as orders
from subgraphs.orders.service.copies import facts_for
from subgraphs.payments import models as payments
from subgraphs.payments.app import vault as open_vault
from subgraphs.payments.methods import announce as announce_methods
from subgraphs.payments.settings import Settings as PaymentSettings
from subgraphs.payments.simulator.store import Store
from subgraphs.products.domain import ProductStatus, StockMovementType
from subgraphs.products.models import Product
from subgraphs.products.stock_ledger import LEVEL, Change, apply, lock_levels
from subgraphs.users import models as users
from subgraphs.users.domain import scopes_of
from subgraphs.users.keys import SigningKeys
from subgraphs.users.service.announce import announce_users
from subgraphs.users.settings import Settings as UserSettings

CARD = "4330123412341234"
CHUNK = 200


def buyer_id(number: int) -> str:
    return ulid_of("user", f"bench:{number}")


def address_id(number: int) -> str:
    return ulid_of("address", f"bench:{number}")


def method_id(number: int) -> str:
    return ulid_of("payment method", f"bench:{number}")


async def seed(settings: Settings, buyers: int, units: int, card_of: Callable[[int], str] = lambda _: CARD) -> None:
    """Everything that must be there before the shop opens."""
    await migrate(settings)
    await demo_data.load(settings)
    numbers = range(buyers)
    for name, fill in (("users", _people), ("delivery", _addresses), ("payments", _cards)):
        async with open_database(settings, name) as database:
            for start in range(0, buyers, CHUNK):
                chunk = numbers[start : start + CHUNK]
                await database.run(lambda tx, fill=fill, chunk=chunk: fill(tx, settings, chunk))
    _register_at_provider(settings, numbers, card_of)
    async with open_database(settings, "products") as database:
        await database.run(lambda tx: _receive(tx, units))


async def _people(tx: AsyncConnection, _: Settings, numbers: Sequence[int]) -> None:
    rows = [
        {
            "id": buyer_id(number),
            "version": 1,
            "email": f"bench{number}@people.example",
            "email_index": users.email_index(f"bench{number}@people.example"),
            "name": "구매자",
            "display_name": f"buyer {number}",
            "password_hash": None,
            "email_verified_at": EPOCH,
            "locale": "ko-KR",
            "time_zone": "Asia/Seoul",
            "created_at": EPOCH,
        }
        for number in numbers
    ]
    await insert_ignore(tx, users.users, rows)
    await insert_ignore(tx, users.user_roles, [{"user_id": row["id"], "role": "CUSTOMER"} for row in rows])
    await announce_users(tx, [row["id"] for row in rows])


async def _addresses(tx: AsyncConnection, _: Settings, numbers: Sequence[int]) -> None:
    home = columns(NewAddress("구매자", "+821012345678", "06236", "서울 강남구 1", as_default=True))
    rows = [
        {
            "id": address_id(number),
            "user_id": buyer_id(number),
            "version": 1,
            **home,
        }
        for number in numbers
    ]
    await tx.execute(insert(delivery.addresses), rows)
    await announce_addresses(tx, [row["id"] for row in rows])


async def _cards(tx: AsyncConnection, settings: Settings, numbers: Sequence[int]) -> None:
    vault = open_vault(settings, PaymentSettings())
    now = datetime.now(UTC)
    customers = [
        {"user_id": buyer_id(number), "customer_key": f"bench-customer-{number}", "created_at": now}
        for number in numbers
    ]
    rows = [
        {
            "id": method_id(number),
            "user_id": buyer_id(number),
            "version": 1,
            "kind": "BILLING_KEY",
            "status": "ACTIVE",
            "issuer": "국민",
            "masked_number": "43301234****123*",
            "default_of": buyer_id(number),
            "billing_key_sealed": vault.seal(_billing_key(number)),
            "billing_key_digest": hashlib.sha256(_billing_key(number).encode()).hexdigest(),
            "created_at": now,
            "updated_at": now,
        }
        for number in numbers
    ]
    await tx.execute(insert(payments.customers), customers)
    await tx.execute(insert(payments.methods), rows)
    await announce_methods(tx, [row["id"] for row in rows])


def _billing_key(number: int) -> str:
    return f"bench-billing-key-{number}"


def _register_at_provider(settings: Settings, numbers: Sequence[int], card_of: Callable[[int], str]) -> None:
    store = Store(settings.data_dir / "provider.sqlite")
    with store.change():
        for number in numbers:
            store.put_billing(_billing_key(number), f"bench-customer-{number}", card_of(number))
    store.close()


async def _receive(tx: AsyncConnection, units: int) -> None:
    """``units`` more of every variant, booked as any other receipt."""
    ids = list((await tx.execute(select(LEVEL.c.variant_id))).scalars())
    levels = await lock_levels(tx, ids)
    received = [
        Change(id, StockMovementType.RECEIVED, units, on_hand=units, reason="for the benchmark") for id in levels
    ]
    for start in range(0, len(received), CHUNK):
        await apply(tx, levels, received[start : start + CHUNK], datetime.now(UTC))


async def people(settings: Settings, buyers: int) -> list[dict[str, str]]:
    """What the buyers buy with: access tokens, made as a log-in makes them, addresses, cards."""
    now = datetime.now(UTC)
    async with open_database(settings, "users") as database:
        user_settings = UserSettings()
        keys = SigningKeys(database, user_settings, lambda: now)
        expires = now + user_settings.access_token_life
        tokens = [await keys.sign(_claims(number, now, expires)) for number in range(buyers)]
    return [
        {
            "token": token,
            "address": global_id("Address", address_id(number)),
            "method": global_id("PaymentMethod", method_id(number)),
        }
        for number, token in enumerate(tokens)
    ]


async def tickets(settings: Settings, buyers: int) -> dict[str, Any]:
    """The buyers, and what can be ordered at which total, once every subgraph has been told."""
    await until_told(settings, within=180)
    async with open_database(settings, "orders") as database, database.read() as connection:
        ids = list((await connection.execute(select(orders.variants.c.variant_id))).scalars())
        facts = await facts_for(connection, variant_ids=ids)
    offers = []
    for variant in facts.variants.values():
        profile = facts.profiles[variant.shipping_profile_id]
        free = profile.free_over is not None and variant.price >= profile.free_over
        if variant.purchasable:
            offers.append(
                [
                    global_id("ProductVariant", variant.variant_id),
                    str(variant.price + (0 if free else profile.base_fee)),
                ]
            )
    async with open_database(settings, "products") as database, database.read() as connection:
        published = select(Product.slug).where(Product.status == ProductStatus.PUBLISHED.value).order_by(Product.slug)
        slugs = list((await connection.execute(published)).scalars())
    return {"buyers": await people(settings, buyers), "offers": offers, "slugs": slugs}


def _claims(number: int, now: datetime, expires: datetime) -> dict[str, Any]:
    return {
        "sub": buyer_id(number),
        "sid": ulid_of("session", f"bench:{number}"),
        "roles": ["CUSTOMER"],
        "scopes": scopes_of(["CUSTOMER"]),
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
    }


async def main(command: str, file: str, buyers: str, units: str = "0") -> None:
    settings = settings_of_environment()
    if command == "seed":
        await seed(settings, int(buyers), int(units))
    else:
        made = orjson.dumps(await tickets(settings, int(buyers)))
        await asyncio.to_thread(Path(file).write_bytes, made)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
