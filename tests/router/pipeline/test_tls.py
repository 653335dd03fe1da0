"""HTTPS at the router's own door, over real connections."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import ValidationError

from router.errors import SourceError, SubgraphError
from router.executor.http_client import AiohttpClient, PyreqwestClient
from router.pipeline.asgi import send_whole
from router.pipeline.serving import DrainingServer
from router.pipeline.tls import Certificate, certificate_of
from router.settings import Settings, TlsSettings
from tests.support.certificates import Authority, Files
from tests.support.process import free_port
from tests.support.waiting import eventually

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def certificate(files: Files, hsts: int = 31_536_000) -> Certificate:
    found = certificate_of(TlsSettings(certificate=files.certificate, key=files.key, hsts=hsts))
    assert found is not None
    return found


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send_whole(send, 200, b"text/plain", scope["scheme"].encode(), [])


@asynccontextmanager
async def served(shown: Certificate | None) -> AsyncIterator[int]:
    """A server with this certificate; its port."""
    port = free_port()
    options = shown.server_options() if shown else {}
    config = uvicorn.Config(app, port=port, log_level="critical", lifespan="off", **options)
    running = DrainingServer(config)
    task = asyncio.create_task(running.serve())
    await eventually(lambda: running.started)
    try:
        yield port
    finally:
        running.should_exit = True
        await task


async def ask(port: int, tls: ssl.SSLContext | None) -> bytes:
    """The whole answer. Raises OSError (ssl.SSLError is one)."""
    name = "localhost" if tls else None
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        try:
            writer.write(REQUEST)
            return await reader.read()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def shown_name(port: int, authority: Authority) -> str:
    """Whose certificate a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.trusted(), server_hostname="localhost")
    found = dict(pair for part in writer.get_extra_info("peercert")["subject"] for pair in part)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return str(found["commonName"])


async def test_who_trusts_the_certificate_is_answered_and_told_to_stay_with_https(authority: Authority) -> None:
    async with served(certificate(authority.signed("shop"))) as port:
        head, _, body = (await ask(port, authority.trusted())).partition(b"\r\n\r\n")
        assert body == b"https"
        assert b"strict-transport-security: max-age=31536000" in head.lower()
        answers = await asyncio.gather(*(ask(port, authority.trusted()) for _ in range(40)))
        assert {each.partition(b"\r\n\r\n")[2] for each in answers} == {b"https"}


async def test_browsers_are_not_told_if_they_shall_not_be(authority: Authority) -> None:
    async with served(certificate(authority.signed("shop"), hsts=0)) as port:
        assert b"strict-transport" not in (await ask(port, authority.trusted())).lower()


async def test_without_a_certificate_it_is_plain_http(authority: Authority) -> None:
    assert certificate_of(TlsSettings()) is None
    async with served(None) as port:
        answer = await ask(port, None)
        assert answer.endswith(b"http")
        assert b"strict-transport" not in answer.lower()
        with pytest.raises(OSError):  # noqa: PT011
            await ask(port, authority.trusted())


async def test_what_is_not_https_gets_nothing(authority: Authority, tmp_path: Path) -> None:
    """Plain HTTP, a client that trusts somebody else, one with TLS 1.1 only; after them all others are served."""
    old = authority.trusted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with served(certificate(authority.signed("shop"))) as port:
        with suppress(OSError):
            assert await ask(port, None) == b""
        for client in (Authority(tmp_path).trusted(), old):
            with pytest.raises((ssl.SSLError, ConnectionResetError)):  # or it is gone before it has said why
                await ask(port, client)
        assert (await ask(port, authority.trusted())).endswith(b"https")


async def test_somebody_who_never_shakes_hands_keeps_nobody_waiting(authority: Authority) -> None:
    async with served(certificate(authority.signed("shop"))) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert (await ask(port, authority.trusted())).endswith(b"https")
        for _, writer in silent:
            writer.close()


async def test_a_renewed_certificate_is_shown_to_who_comes_next(authority: Authority, tmp_path: Path) -> None:
    """Its two files are replaced one after the other: what is between stays unseen, and the log says so once."""
    first, second = authority.signed("first"), authority.signed("second")
    live = Files(tmp_path / "live.crt", tmp_path / "live.key")
    shutil.copy(first.certificate, live.certificate)
    shutil.copy(first.key, live.key)
    shown = certificate(live)
    async with served(shown) as port:
        assert await shown_name(port, authority) == "first"
        shutil.copy(second.certificate, live.certificate)
        shown.look_again()
        assert await shown_name(port, authority) == "first"
        shutil.copy(second.key, live.key)
        async with shown.followed(0.01), asyncio.timeout(5):
            while await shown_name(port, authority) != "second":  # noqa: ASYNC110 - another connection has no event
                await asyncio.sleep(0.01)


async def test_what_cannot_be_shown_is_logged_once(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = authority.signed("kept")
    live = Files(tmp_path / "live.crt", tmp_path / "live.key")
    shutil.copy(made.certificate, live.certificate)
    shutil.copy(made.key, live.key)
    shown = certificate(live)
    live.certificate.write_text("nothing")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            shown.look_again()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["the old certificate stays"]


async def test_a_subgraphs_certificate_is_checked(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's roots are trusted, or those that SSL_CERT_FILE names (aiohttp reads it when it is imported)."""
    async with served(certificate(authority.signed("subgraph"))) as port:

        async def ask(client: PyreqwestClient | AiohttpClient) -> bytes:
            try:
                return bytes((await client.post(f"https://localhost:{port}/", b"{}", {}, 1000)).body)
            finally:
                await client.close()

        for distrusting in (PyreqwestClient(), AiohttpClient()):
            with pytest.raises(SubgraphError, match="could not be reached"):
                await ask(distrusting)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert await ask(PyreqwestClient(connect_timeout=5.0)) == b"https"


def test_one_file_without_the_other_is_refused(authority: Authority) -> None:
    made = authority.signed("half")
    for given, missing in (({"certificate": made.certificate}, "tls.key"), ({"key": made.key}, "tls.certificate")):
        with pytest.raises(ValidationError, match=missing):
            Settings(tls=given)


def test_files_that_are_no_certificate_and_key_are_named(authority: Authority, tmp_path: Path) -> None:
    good, other, locked = authority.signed("good"), authority.signed("other"), authority.signed("locked", b"secret")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for certificate, key, named in (
        (tmp_path / "absent.crt", good.key, "absent.crt"),
        (good.certificate, tmp_path / "absent.key", "absent.key"),
        (tmp_path, good.key, str(tmp_path)),
        (text, good.key, "text.pem"),
        (good.certificate, text, "text.pem"),
        (good.certificate, other.key, "other.key"),
        (locked.certificate, locked.key, "without a password"),
    ):
        with pytest.raises(SourceError) as refused:
            certificate_of(TlsSettings(certificate=certificate, key=key))
        assert named in str(refused.value)
        assert "secret" not in str(refused.value)
