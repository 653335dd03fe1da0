"""Connections that wait are taken together, however long the turns of the event loop are."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
import uvloop

from router.pipeline.asgi import send_whole
from router.pipeline.serving import DrainingServer
from tests.support.process import free_port
from tests.support.waiting import eventually

WAITING = 60


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send_whole(send, 200, b"text/plain", b"here", [])


async def turns(kind: type[uvicorn.Server]) -> tuple[int, list[bytes]]:
    """How many turns of the loop it takes until all who wait are connected; what some of them are then answered."""
    port = free_port()
    server = kind(uvicorn.Config(app, port=port, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    # The kernel connects them; the server has had no turn to notice.
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(WAITING)]
    count = 0
    while len(server.server_state.connections) < WAITING:
        await asyncio.sleep(0)
        count += 1
    answers = [await asyncio.to_thread(ask, each) for each in waiting[::20]]
    for each in waiting:
        each.close()
    server.should_exit = True
    await task
    return count, answers


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    read = b""
    while chunk := connection.recv(1000):
        read += chunk
    return read[-4:]


def test_all_who_wait_are_taken_in_a_few_turns() -> None:
    """And they are answered like anybody."""
    count, answers = uvloop.run(turns(DrainingServer))
    assert count < 15
    assert answers == [b"here"] * 3


def test_without_it_they_are_taken_one_by_one() -> None:
    """The control: what uvloop does by itself."""
    count, _ = uvloop.run(turns(uvicorn.Server))
    assert count >= WAITING - 5
