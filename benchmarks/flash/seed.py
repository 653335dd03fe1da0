"""Fills a new shop with customers for a flash sale: ``seed FILE CUSTOMERS UNITS``, before it starts.

A process of its own, so that it reads its settings as the shop does. What the rush needs goes into the file.
"""

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
from subgraphs.delivery import models as delivery
from subgraphs.kit.ids import global_id
from subgraphs.products.models import Product, ProductVariant
from subgraphs.users.domain import scopes_of
from subgraphs.users.keys import SigningKeys
from subgraphs.users.settings import Settings as UserSettings

DECLINED_CARD = "4000000000009995"
PRICE = 9900
SELLER = SELLERS[0]


async def main(file: str, customers: str, units: str) -> None:
    """Everybody with an address and a card (some will be declined), and a seller who has enough of something."""
    settings = settings_of_environment()
    await shop.seed(settings, int(customers), int(units), _card_of)
    made = {
        "customers": await shop.people(settings, int(customers)),
        "seller": await _seller(settings),
        **await _offer(settings),
    }
    await asyncio.to_thread(Path(file).write_bytes, orjson.dumps(made))


def _card_of(number: int) -> str:
    return DECLINED_CARD if manner_of(number) is Manner.DECLINED else shop.CARD


async def _seller(settings: Settings) -> str:
    """The access token of the seller's owner."""
    now, chosen, roles = datetime.now(UTC), UserSettings(), ["CUSTOMER", "PARTNER"]
    times = {"iat": int(now.timestamp()), "exp": int((now + chosen.access_token_life).timestamp())}
    claims = {"sub": SELLER.owner_id, "sid": SELLER.owner_id, "roles": roles, "scopes": scopes_of(roles), **times}
    async with open_database(settings, "users") as database:
        return await SigningKeys(database, chosen, lambda: now).sign(claims)


async def _offer(settings: Settings) -> dict[str, Any]:
    """A variant of the seller's, the sale's price of it, and what one costs with its shipping."""
    product, variant = Product.__table__, ProductVariant.__table__
    query = select(variant.c.id, variant.c.shipping_profile_id).join(product, product.c.id == variant.c.product_id)
    async with open_database(settings, "products") as database, database.read() as connection:
        mine = query.where(product.c.partner_id == SELLER.id).order_by(variant.c.id).limit(1)
        chosen = (await connection.execute(mine)).one()
    async with open_database(settings, "delivery") as database, database.read() as connection:
        by_id = select(delivery.profiles).where(delivery.profiles.c.id == chosen.shipping_profile_id)
        profile = (await connection.execute(by_id)).one()
    free = profile.free_over is not None and profile.free_over <= PRICE
    total = PRICE + (0 if free else profile.base_fee)
    return {"variant": global_id("ProductVariant", chosen.id), "price": str(PRICE), "total": str(total)}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
