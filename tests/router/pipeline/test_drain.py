"""The end of a process: what runs is completed, clients are told to go elsewhere."""

from __future__ import annotations

import asyncio
import signal

import aiohttp

from tests.router.test_serve_command import SUPERGRAPH, serving


async def test_on_sigterm_sockets_are_told_to_go_and_the_exit_code_is_zero() -> None:
    async with serving("--supergraph", str(SUPERGRAPH)) as (process, url), aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"])
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        process.send_signal(signal.SIGTERM)
        closing = await socket.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        assert await asyncio.wait_for(process.wait(), 20) == 0
