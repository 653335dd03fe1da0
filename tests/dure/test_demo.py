"""The newcomer's whole visit, in one process and with every part in a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ulid import ULID

from db.driver import sqlite3
from dure import demo
from dure.demo.client import Shop
from dure.demo.run import CARD_NUMBER
from dure.demo_data.people import CUSTOMERS
from router.telemetry import Telemetry
from tests.dure.shop import ShopProcess
from tests.dure.test_cache import PASSWORD, sees_a_new_price
from tests.dure.watched import problems, seen, watched
from tests.support import servers
from tests.support.process import free_port

pytestmark = pytest.mark.e2e


async def visit(process: ShopProcess, newcomers: int = 2) -> None:
    for _ in range(newcomers):  # a second one finds the shop as good as the first
        demo = await asyncio.to_thread(process.dure, "demo")
        assert demo.returncode == 0, demo.stdout + demo.stderr + process.log[-2000:]
        assert "All 13 steps" in demo.stdout
    audit = await asyncio.to_thread(process.dure, "audit")
    assert (audit.returncode, audit.stdout) == (0, ""), audit.stderr


async def test_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what its operators see: everything that rules and boards look at is shown, and the log names nobody, whatever
    its level."""
    told = Told()
    monkeypatch.setattr(Shop, "_send", told.sending(Shop._send))
    loud = {"DURE_LOG_LEVEL": "debug", "DURE_LOG_FORMAT": "json", "ROUTER_ACCESS_LOG_RATIO": "1"}
    process = ShopProcess(tmp_path / "data", loud)
    try:
        await process.start()
        assert await demo.run(process.url)
        await visit(process, newcomers=1)
        await mistakes(process.url)
        known = seen(await exposition(process)) | seen(with_deprecated_use())
        assert [problem for one in watched() for problem in problems(one, known)] == []
    finally:
        await process.stop()
    personal = told.personal() | set(secrets_of_the_provider(process.folder)) | set(people()) | {CARD_NUMBER}
    for kind in (
        r"newcomer-\w+@people\.example",
        r"010-\d{4}-\d{4}",
        r"eyJ.+\..+\..+",
        r"4330\d{12}",
        r"\w{32,}",
        "김하나",
    ):
        assert any(re.fullmatch(kind, value) for value in personal), kind
    lines = [line for line in process.log.splitlines() if line.startswith("{")]
    assert sum(json.loads(line)["event"] == "operation" for line in lines) > 30
    # What `dure up` itself prints before it opens is not the log.
    assert [value for value in personal if any(value in line for line in lines)] == []
    assert any(value in "to 김하나" for value in personal), "the search finds what must not be there"


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
            "DURE_DEMO_PASSWORD": PASSWORD,
            "DURE_FIRST_SUBGRAPH_PORT": str(free_port(in_a_row=6)),
            "DURE_PROVIDER_PORT": str(free_port()),
        }
        process = ShopProcess(tmp_path, settings, ("--split",))
        try:
            await process.start()
            await visit(process)
            await sees_a_new_price(process)
        finally:
            assert await process.stop() == 0, process.log[-3000:]


@pytest.mark.integration
async def test_a_demo_without_a_shop_says_what_to_do(tmp_path: Path) -> None:
    process = ShopProcess(tmp_path, {})
    demo = await asyncio.to_thread(process.dure, "demo")
    assert demo.returncode == 1
    assert "make run" in demo.stderr


async def mistakes(url: str) -> None:
    """What is refused is logged no more than what is not."""
    async with aiohttp.ClientSession() as session:
        shop = Shop(url, session)
        await shop.raw("log_in", email="kim@people.example", password="my-secret-password-1")
        await shop.raw("register", input={"email": "no address", "password": "short", "name": "김하나"})
        await shop._send('{ nothing(email: "kim@people.example", phone: "010-1234-5678") }', {})
        shop.log_in("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJraW0ifQ.c2lnbmF0dXJl")
        await shop.raw("my_page")


class Told:
    """What people told the shop, and what it told them, in words."""

    PERSONAL = re.compile(r"email|password|phone|recipient|token|line\d|address$|cardNumber|holder|key$", re.IGNORECASE)

    def __init__(self) -> None:
        self._found: set[str] = {"김하나"}

    def sending(self, send: Any) -> Any:
        """``send``, listened to."""

        async def listened(shop: Shop, document: str, variables: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = await send(shop, document, variables)
            self._listen(variables, "")
            self._listen(answer.get("data"), "")
            return answer

        return listened

    def personal(self) -> set[str]:
        return {value for value in self._found if len(value) > 2}

    def _listen(self, value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                self._listen(inner, key)
        elif isinstance(value, list):
            for inner in value:
                self._listen(inner, name)
        elif isinstance(value, str) and self.PERSONAL.search(name) and not name.endswith("At"):
            self._found.add(value)


def people() -> Iterator[str]:
    """Everybody of the demo's data."""
    for customer in CUSTOMERS:
        yield customer.name


def secrets_of_the_provider(folder: Path) -> Iterator[str]:
    """Keys of cards and payments, as the provider knows them."""
    with sqlite3.connect(folder / "provider.sqlite") as books:
        for (table,) in books.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [name for _, name, *_ in books.execute(f'PRAGMA table_info("{table}")') if name.endswith("_key")]
            for column in columns:
                rows = books.execute(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL').fetchall()
                yield from (str(value) for (value,) in rows)


async def exposition(process: ShopProcess) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{process.port + 1000}/metrics") as answer,
    ):
        return await answer.text()


def with_deprecated_use() -> str:
    """Nothing of the shop is deprecated yet: this is what it would show."""
    telemetry = Telemetry()
    telemetry.usage.used("-", None, ["Type.field"])
    text = telemetry.exposition().decode()
    return "\n".join(line for line in text.splitlines() if "router_deprecated_uses" in line)


def per_subgraph(server_url: str) -> str:
    """A database of its own for each subgraph, on this server, for this test."""
    return f"{server_url.rsplit('/', 1)[0]}/shop_{str(ULID()).lower()}_{{subgraph}}"
