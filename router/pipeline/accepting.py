"""New connections under load: all that wait are taken in one turn of the event loop.

uvloop takes one a turn. Turns are long when there is much to do, so the others would wait for seconds where nobody can
tell them to come again later.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

AT_ONCE = 64
"""Connections in one turn: there is other work, too."""
HANDSHAKE_SECONDS = 10


class Acceptor:
    """Takes connections beside the server that listens. Made in the running loop."""

    def __init__(self, listener: int, protocol: Callable[[], asyncio.Protocol], tls: SSLContext | None = None) -> None:
        """``listener``: the file descriptor of a listening socket; it stays the server's. ``tls``: what it speaks."""
        self._protocol = protocol
        self._tls: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": HANDSHAKE_SECONDS} if tls else {}
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._listener = socket.socket(fileno=os.dup(listener))
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                # None is left; or the process has too many files open, and the server knows what to do about that.
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._open(accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted, **self._tls)
        except OSError:
            accepted.close()  # they have gone already, or do not speak TLS
