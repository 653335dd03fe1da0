"""Fills a new shop with customers for a flash sale: ``seed FILE CUSTOMERS UNITS`` before it starts, ``tickets FILE
CUSTOMERS`` once it runs. A process of its own, so that it reads its settings as the shop does."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

from benchmarks.flash.customers import Manner, manner_of
from benchmarks.shop import seed as shop
from dure.cli import _settings as settings_of_environment
from dure.databases import open_database
from dure.demo_data.people import SELLERS
from dure.settings import Settings
from subgraphs.kit.ids import global_id
from subgraphs.orders import models as orders
from subgraphs.orders.service.copies import facts_for
from subgraphs.users.domain import scopes_of
from subgraphs.users.keys import SigningKeys
from subgraphs.users.settings import Settings as UserSettings

DECLINED_CARD = "4000000000009995"
PRICE = 9900


async def seed(settings: Settings, customers: int, units: int) -> None:
    """Everybody with an address and a card; some of the cards will be declined."""
    await shop.seed(settings, customers, units, _card_of)


def _card_of(number: int) -> str:
    return DECLINED_CARD if manner_of(number) is Manner.DECLINED else shop.CARD


async def tickets(settings: Settings, customers: int) -> dict[str, Any]:
    """The customers' access, a seller's, and what the seller can put up for sale."""
    people = (await shop.tickets(settings, customers))["buyers"]
    now = datetime.now(UTC)
    owner = SELLERS[0].owner_id
    async with open_database(settings, "users") as database:
        chosen = UserSettings()
        roles = ["CUSTOMER", "PARTNER"]
        claims = {"sub": owner, "sid": owner, "roles": roles, "scopes": scopes_of(roles), "iat": int(now.timestamp())}
        expires = int((now + chosen.access_token_life).timestamp())
        seller = await SigningKeys(database, chosen, lambda: now).sign({**claims, "exp": expires})
    async with open_database(settings, "orders") as database, database.read() as connection:
        table = orders.variants.c
        mine = select(table.variant_id).where(table.partner_id == SELLERS[0].id, table.purchasable)
        variant_id = (await connection.execute(mine.order_by(table.variant_id).limit(1))).scalar_one()
        facts = await facts_for(connection, variant_ids=[variant_id])
    profile = facts.profiles[facts.variants[variant_id].shipping_profile_id]
    free = profile.free_over is not None and profile.free_over <= PRICE
    total = PRICE + (0 if free else profile.base_fee)
    return {
        "customers": people,
        "seller": seller,
        "variant": global_id("ProductVariant", variant_id),
        "price": str(PRICE),
        "total": str(total),
    }


async def main(command: str, file: str, customers: str, units: str = "0") -> None:
    settings = settings_of_environment()
    if command == "seed":
        await seed(settings, int(customers), int(units))
    else:
        made = orjson.dumps(await tickets(settings, int(customers)))
        await asyncio.to_thread(Path(file).write_bytes, made)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
