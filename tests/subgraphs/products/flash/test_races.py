"""What two claims at the same moment, another's clock, and a gate that forgot cannot do."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from redis.asyncio import Redis
from sqlalchemy import func, select

from db.session import Database
from subgraphs.kit.ids import new_ulid
from subgraphs.products.flash.claims import kept_by_customer
from subgraphs.products.flash.domain import KEEPING
from subgraphs.products.flash.gate import InProcessGate, RedisGate
from subgraphs.products.flash.models import claims, items, sales
from subgraphs.products.flash.service import FlashSales
from subgraphs.products.flash.tokens import AdmissionTokens
from tests.subgraphs.products.conftest import World
from tests.subgraphs.products.flash.test_claims import MINUTE, open_sale

TOKENS = AdmissionTokens("secret")


async def test_one_customers_claims_at_the_same_moment_keep_to_the_limit(world: World, database_url: str) -> None:
    """Through two shops with databases and gates of their own, each claim with a key of its own."""
    sale = await open_sale(world, units=20, limit=3)
    user, ticket = await sale.buyer()
    async with Database(database_url) as other:
        second = FlashSales(replace(world.shop, database=other, gate=InProcessGate(5)), TOKENS)
        both = [sale, replace(sale, flash=second)]
        results = await asyncio.gather(*(each.claim(user, ticket) for _ in range(8) for each in both))
    got = Counter("claim" if len(each) == 26 else each for each in results)
    assert got == {"claim": 3, "PER_CUSTOMER_LIMIT_EXCEEDED": 13}
    assert (await sale.row(items, sale.item)).remaining == 17
    assert await world.violations() == []


async def test_a_sale_opens_by_the_servers_clock(world: World) -> None:
    """A customer whose clock is hours ahead has a good token and gets nothing; one whose clock is behind does."""
    sale = await open_sale(world, units=2)
    world.clock.move(-timedelta(milliseconds=1))
    user, ticket = await sale.buyer()
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3), tick=True):
        assert await sale.claim(user, ticket) == "SALE_NOT_OPEN"
    world.clock.move(timedelta(milliseconds=1))
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=3), tick=True):
        assert len(await sale.claim(user, ticket)) == 26
    world.clock.move(60 * MINUTE)
    assert await sale.claim(new_ulid(), ticket) == "SALE_NOT_OPEN", "the end is the server's, too"


async def test_until_a_worker_has_opened_the_sale_nobody_claims(world: World) -> None:
    """The time alone opens nothing: that the line was drawn is written first."""
    sale = await open_sale(world, units=2)
    user, ticket = await sale.buyer()
    async with world.database.transaction() as tx:
        await tx.execute(sales.update().values(drawn_at=None))
    assert await sale.claim(user, ticket) == "SALE_NOT_OPEN"


@pytest.mark.integration
async def test_a_flushed_gate_is_rebuilt_as_the_ledger_is(world: World, redis_url: str) -> None:
    """After a flush the next claim reads the ledger, and the gate then knows the same units and the same customers."""
    redis = Redis.from_url(redis_url)
    sale = await open_sale(world, units=5)
    sale.flash = FlashSales(replace(world.shop, gate=RedisGate(redis, 60)), TOKENS)
    for _ in range(3):
        assert len(await sale.claim(*await sale.buyer())) == 26
    key = f"dure:flash:{{{sale.item}}}"
    await redis.delete(key, f"{key}:filling")
    assert len(await sale.claim(*await sale.buyer())) == 26
    async with world.database.read() as connection:
        left, kept = await kept_by_customer(connection, sale.item)
        total = (
            await connection.execute(select(func.sum(claims.c.quantity)).where(claims.c.state.in_(KEEPING)))
        ).scalar_one()
    known = {field.decode(): int(value) for field, value in (await redis.hgetall(key)).items()}
    # It was filled before the claim that asked for it was made; the next one counts it down.
    assert known.pop("left") == left + 1
    assert known.items() <= {f"u:{user}": units for user, units in kept.items()}.items()
    assert (left, int(total)) == (1, 4)
    assert len(await sale.claim(*await sale.buyer())) == 26
    assert await sale.claim(*await sale.buyer()) == "SOLD_OUT"
    await redis.delete(key)
    await redis.aclose()
    assert await world.violations() == []
