"""The newcomer's whole visit, in one process and with every part in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ulid import ULID

from tests.dure.shop import ShopProcess
from tests.support import servers
from tests.support.process import free_port

pytestmark = pytest.mark.e2e


async def visit(process: ShopProcess) -> None:
    for _ in range(2):  # a second newcomer finds the shop as good as the first
        demo = await asyncio.to_thread(process.dure, "demo")
        assert demo.returncode == 0, demo.stdout + demo.stderr + process.log[-2000:]
        assert "All 13 steps" in demo.stdout
    audit = await asyncio.to_thread(process.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr


async def test_in_one_process(shop: ShopProcess) -> None:
    await visit(shop)


@pytest.mark.integration
async def test_in_one_process_on_servers(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    """The same process on PostgreSQL and Redis."""
    process = ShopProcess(tmp_path, {"DURE_DATABASE_URL": per_subgraph(postgres_url), "DURE_REDIS_URL": redis_url})
    try:
        await process.start()
        await visit(process)
    finally:
        await process.stop()


@pytest.mark.integration
async def test_split(tmp_path: Path, postgres_url: str, postgres_replica_url: str, redis_url: str) -> None:
    """Fourteen processes on PostgreSQL with a replica, RabbitMQ and Redis."""
    primary = per_subgraph(postgres_url)
    name = primary.rsplit("/", 1)[1]
    with servers.rabbitmq() as rabbitmq_url:  # of its own: a shop's queues would catch other tests' events
        settings = {
            "DURE_DATABASE_URL": primary,
            "DURE_REPLICA_URL": postgres_replica_url.rsplit("/", 1)[0] + "/" + name,
            "DURE_BROKER_URL": rabbitmq_url,
            "DURE_REDIS_URL": redis_url,
            "DURE_FIRST_SUBGRAPH_PORT": str(free_port(in_a_row=6)),
            "DURE_PROVIDER_PORT": str(free_port()),
        }
        process = ShopProcess(tmp_path, settings, ("--split",))
        try:
            await process.start()
            await visit(process)
        finally:
            assert await process.stop() == 0, process.log[-3000:]


@pytest.mark.integration
async def test_a_demo_without_a_shop_says_what_to_do(tmp_path: Path) -> None:
    process = ShopProcess(tmp_path, {})
    demo = await asyncio.to_thread(process.dure, "demo")
    assert demo.returncode == 1
    assert "make run" in demo.stderr


def per_subgraph(server_url: str) -> str:
    """A database of its own for each subgraph, on this server, for this test."""
    return f"{server_url.rsplit('/', 1)[0]}/shop_{str(ULID()).lower()}_{{subgraph}}"
