"""Being signed in ends: with the token, or with the session before that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from router.app import RouterApp
from router.pipeline.auth import Identity
from router.pipeline.signed_in import EndedSessions, while_signed_in
from router.settings import Settings
from tests.router.pipeline.client import post
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.pipeline.test_auth import ED, TOKENS, Issuer, token
from tests.router.pipeline.test_websocket import Socket, connect

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
FOREVER = {"query": "subscription{reviewAdded(count:1000000){body}}"}


@pytest.fixture
def app() -> RouterApp:
    return router(subgraphs(), Settings(tokens=TOKENS), key_source=Issuer(ED))


def bearer(**claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(**claims)}"}


async def payloads_for_ever() -> AsyncGenerator[bytes, None]:
    yield b"1"
    await asyncio.Event().wait()


async def test_a_stream_ends_with_the_session_and_says_why() -> None:
    sessions = EndedSessions()
    source = payloads_for_ever()
    stream = while_signed_in(source, Identity("ann", "s1"), sessions)
    assert await anext(stream) == b"1"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    sessions.end("another")
    await asyncio.sleep(0)
    assert not waiting.done()
    sessions.end("s1")
    async with asyncio.timeout(1):
        assert b"UNAUTHENTICATED" in await waiting
        assert [each async for each in stream] == []
    assert [each async for each in source] == [], "its source is closed"
    assert not sessions._watchers


async def test_a_stream_ends_when_the_token_expires() -> None:
    stream = while_signed_in(payloads_for_ever(), Identity("ann", expires=time.time() + 0.05), EndedSessions())
    async with asyncio.timeout(5):
        payloads = [payload async for payload in stream]
    assert payloads[0] == b"1"
    assert b"expired" in payloads[-1]


async def test_a_stream_that_ends_by_itself_ends() -> None:
    async def two() -> AsyncGenerator[bytes, None]:
        yield b"1"
        yield b"2"

    assert [each async for each in while_signed_in(two(), Identity("ann", "s1"), EndedSessions())] == [b"1", b"2"]


async def test_a_token_of_an_ended_session_is_refused(app: RouterApp) -> None:
    mine, other = bearer(sub="ann", sid="s1"), bearer(sub="ann", sid="s2")
    assert (await post(app, "{__typename}", **mine)).status == 200
    app.ended_sessions.end("s1")
    refused = await post(app, "{__typename}", **mine)
    assert (refused.status, refused.json["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert (await post(app, "{__typename}", **other)).status == 200


async def test_a_subscription_ends_within_a_second_of_its_session(app: RouterApp) -> None:
    async with connect(app, **bearer(sub="ann", sid="s1")) as socket:
        await started(socket)
        app.ended_sessions.end("s1")
        async with asyncio.timeout(1):
            while "errors" not in (await socket.receive()).get("payload", {}):
                continue
            assert (await socket.receive())["type"] == "complete"


async def test_a_user_has_five_sockets(app: RouterApp) -> None:
    mine = bearer(sub="ann", sid="s1")
    async with connect(app, **mine) as a, connect(app, **mine) as b, connect(app, **mine) as c:
        async with connect(app, **mine) as d, connect(app, **mine) as e:
            for socket in (a, b, c, d, e):
                await acknowledged(socket)
            async with connect(app, **mine) as sixth, connect(app, **bearer(sub="bob")) as other:
                await sixth.send(type="connection_init")
                assert await sixth.closed() == 1013
                await acknowledged(other)
        async with connect(app, **mine) as again:
            await acknowledged(again)


async def test_a_bad_token_closes_the_socket_before_anything_is_asked(app: RouterApp) -> None:
    async with connect(app) as socket:
        await socket.send(type="connection_init", payload={"authorization": "Bearer nonsense"})
        assert await socket.closed() == 4403


async def acknowledged(socket: Socket) -> None:
    assert (await socket.event())["type"] == "websocket.accept"
    await socket.send(type="connection_init")
    assert (await socket.receive())["type"] == "connection_ack"


async def started(socket: Socket) -> None:
    await acknowledged(socket)
    await socket.send(id="1", type="subscribe", payload=FOREVER)
    assert (await socket.receive())["type"] == "next"
