"""``dure up`` as a person meets it: quick, quiet, and clear about what stops it."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import aiohttp
import pytest

from dure.demo.client import Shop
from tests.dure.shop import Buyer, ShopProcess, choose, visiting
from tests.subgraphs.kit.media.test_pictures import picture
from tests.support.certificates import Authority

pytestmark = pytest.mark.e2e


async def test_a_second_start_keeps_the_data_and_makes_no_secrets_anew(shop: ShopProcess) -> None:
    secrets = (shop.folder / "secrets.json").read_text()
    demo = await asyncio.to_thread(shop.dure, "demo")
    assert demo.returncode == 0, demo.stderr
    assert await shop.stop() == 0
    began = time.monotonic()
    await shop.start()
    took = time.monotonic() - began
    assert "demo data" not in shop.log.split("dure has stopped")[1], "nothing is loaded twice"
    assert (shop.folder / "secrets.json").read_text() == secrets
    assert took < 60
    async with visiting(shop.url) as visitor:
        variant = await choose(visitor)
    assert variant["availableQuantity"] > 0


async def test_secrets_are_readable_by_their_owner_only(shop: ShopProcess) -> None:
    assert (shop.folder / "secrets.json").stat().st_mode & 0o077 == 0


async def test_ctrl_c_ends_it_cleanly(shop: ShopProcess) -> None:
    assert await shop.stop() == 0
    assert "dure has stopped" in shop.log
    assert "Traceback" not in shop.log


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    process = ShopProcess(tmp_path, {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", process.port))
        taken.listen()
        up = process.dure("up")
    assert up.returncode == 1
    assert f"127.0.0.1:{process.port}" in up.stderr
    assert "DURE_PORT" in up.stderr
    assert len(up.stderr.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = ShopProcess(tmp_path, {"DURE_DATA_DIR": str(tmp_path / "file" / "data")})
    up = process.dure("up")
    assert (up.returncode, len(up.stderr.strip().splitlines())) == (1, 1)
    assert "DURE_DATA_DIR" in up.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    up = ShopProcess(tmp_path, {"DURE_POOL_SIZE": "many"}).dure("up")
    assert up.returncode == 1
    assert "DURE_POOL_SIZE" in up.stderr


def test_split_without_servers_says_what_it_needs(tmp_path: Path) -> None:
    up = ShopProcess(tmp_path, {}).dure("up", "--split")
    assert up.returncode == 1
    assert "DURE_BROKER_URL" in up.stderr


async def test_a_developers_start_shows_what_production_hides(shop: ShopProcess, tmp_path: Path) -> None:
    introspection = "{ __schema { queryType { name } } }"
    async with visiting(shop.url) as visitor:
        assert (await visitor.ask_text(introspection)).data == {"__schema": {"queryType": {"name": "Query"}}}
    closed = ShopProcess(tmp_path / "closed", {"DURE_DEV": "0"})
    await closed.start()
    try:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{closed.url}/graphql", json={"query": introspection}) as response:
                assert "errors" in await response.json()
            for path in ("/dev/mails?to=a@b.c", "/provider/v1/transactions", "/"):
                async with session.get(closed.url + path, headers={"accept": "text/html"}) as response:
                    assert response.status == 404, path
    finally:
        await closed.stop()


async def test_readers_do_not_see_what_is_not_theirs(shop: ShopProcess) -> None:
    """Health needs no login, the graph's machinery is not in it."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{shop.url}/health") as response:
            assert response.status == 200
        for query in ("{ _service { sdl } }", "{ _entities(representations: []) { __typename } }"):
            async with session.post(f"{shop.url}/graphql", json={"query": query}) as response:
                assert "errors" in await response.json()


async def test_https_where_a_certificate_is_set(copied: tuple[ShopProcess, Buyer], tmp_path: Path) -> None:
    """A newcomer buys by it, a picture is sent and seen by it, and links in e-mails lead to it."""
    shop, buyer = copied
    authority = Authority(tmp_path)
    files = authority.signed("shop")
    shop.environment = files.environment | {"SSL_CERT_FILE": str(authority.file)}
    await shop.start()
    assert f"https://127.0.0.1:{shop.port}/graphql" in shop.log
    demo = await asyncio.to_thread(shop.dure, "demo")
    assert demo.returncode == 0, demo.stderr
    assert "All 13 steps" in demo.stdout
    stranger = ShopProcess(shop.folder, files.environment)
    stranger.port = shop.port
    distrusting = await asyncio.to_thread(stranger.dure, "demo")
    assert (distrusting.returncode, "is not trusted here" in distrusting.stderr) == (1, True), distrusting.stderr
    connector = aiohttp.TCPConnector(ssl=authority.trusted())
    async with aiohttp.ClientSession(connector=connector) as session:
        visitor = Shop(shop.url, session)
        visitor.log_in(buyer.token)
        ask = 'mutation { avatarUploadCreate(contentType: "image/png", size: 100) { upload { id url } } }'
        upload = (await visitor.ask_text(ask)).data["avatarUploadCreate"]["upload"]
        assert upload["url"].startswith(f"{shop.url}/avatars/uploads/")
        async with session.put(upload["url"], data=picture()) as sent:
            assert sent.status == 204
        show = f'mutation {{ accountUpdate(avatarUploadId: "{upload["id"]}") {{ user {{ avatarUrl }} }} }}'
        address = (await visitor.ask_text(show)).data["accountUpdate"]["user"]["avatarUrl"]
        async with session.get(address) as shown:
            assert (shown.status, shown.content_type) == (200, "image/png")
            assert shown.headers["strict-transport-security"] == "max-age=31536000"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(shop.url.replace("https:", "http:") + "/health")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{shop.url}/health")
    assert await shop.stop() == 0


@pytest.mark.parametrize("given", [{"ROUTER_TLS__KEY": "/no/such.key"}, {"ROUTER_TLS__CERTIFICATE": "/no/such.crt"}])
def test_half_a_certificate_is_one_clear_line(tmp_path: Path, given: dict[str, str]) -> None:
    up = ShopProcess(tmp_path, given).dure("up")
    assert (up.returncode, len(up.stderr.strip().splitlines())) == (1, 1)
    assert "no HTTPS" in up.stderr
    assert "is not set" in up.stderr
