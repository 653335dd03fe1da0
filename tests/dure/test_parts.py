"""Where the parts of a split shop listen, and where they look for one another."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from pydantic import ValidationError

from dure import demo_data, subgraphs
from dure.databases import migrate
from dure.parts import port_of, run_api, url_of
from dure.settings import Settings
from messaging.memory import MemoryBroker
from tests.support.process import free_port


def settings(**given: object) -> Settings:
    secrets = {"claims_secret": "x" * 32, "cursor_secret": "x" * 32, "demo_password": "x" * 12}
    return Settings(**{**secrets, **given})


def test_every_subgraph_has_an_address_of_its_own() -> None:
    """Six different ports on this machine, unless told otherwise."""
    chosen = settings(first_subgraph_port=5100)
    assert {url_of(chosen, name) for name in subgraphs.ALL} == {f"http://127.0.0.1:{5100 + n}" for n in range(6)}


def test_subgraphs_may_be_other_machines() -> None:
    """The template's places are filled in; a slash at its end makes no difference."""
    chosen = settings(subgraph_url="http://{subgraph}.shop.internal:{port}/")
    assert url_of(chosen, "orders") == f"http://orders.shop.internal:{port_of(chosen, 'orders')}"


@pytest.mark.parametrize("template", ["http://{host}:4100", "http://{subgraph", "http://{}"])
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    """A wrong template is an error at the start, not at the first request."""
    with pytest.raises(ValidationError, match="can be filled in"):
        settings(subgraph_url=template)


async def test_a_subgraph_listens_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bind address is used: it answers there, and not on another address of this machine."""
    monkeypatch.setattr("dure.parts.make_broker", lambda _: MemoryBroker())
    chosen = settings(data_dir=tmp_path, bind_host="127.0.0.2", first_subgraph_port=free_port() - 5)
    await migrate(chosen)
    port = port_of(chosen, "delivery")
    started = asyncio.Event()
    running = asyncio.create_task(run_api(chosen, "delivery", started.set))
    try:
        await asyncio.wait_for(started.wait(), 30)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.2:{port}/health/ready") as response,
        ):
            assert response.status == 200
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            pass
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_databases_are_prepared_ahead_of_the_parts(tmp_path: Path) -> None:
    """`dure migrate --demo-data` leaves nothing of the demo's data to load, and what it keeps secret is the owner's."""
    command = [sys.executable, "-m", "dure", "migrate", "--demo-data"]
    subprocess.run(command, env={**os.environ, "DURE_DATA_DIR": str(tmp_path)}, check=True, timeout=120)
    assert not asyncio.run(demo_data.load(settings(data_dir=tmp_path)))
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
