"""Shops for tests."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.dure.shop import Buyer, ShopProcess, make_buyer


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[ShopProcess]:
    """A shop in one process on SQLite, running."""
    process = ShopProcess(tmp_path / "data", {})
    await process.start()
    yield process
    await process.stop()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Buyer]:
    """The folder of a shop that has stopped, with its demo data and a buyer ready to buy: to be copied."""
    folder = tmp_path_factory.mktemp("prepared") / "data"

    async def prepare() -> Buyer:
        process = ShopProcess(folder, {"DURE_USERS_ACCESS_TOKEN_LIFE": "PT2H"})
        await process.start()
        try:
            return await make_buyer(process.url)
        finally:
            await process.stop()

    return folder, asyncio.run(prepare())


@pytest.fixture
async def copied(prepared: tuple[Path, Buyer], tmp_path: Path) -> AsyncIterator[tuple[ShopProcess, Buyer]]:
    """A shop over a copy of the prepared folder, not started, and its buyer."""
    folder, buyer = prepared
    process = ShopProcess(Path(shutil.copytree(folder, tmp_path / "data")), {})
    yield process, buyer
    await process.stop()
