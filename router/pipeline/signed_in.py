"""How long a caller stays signed in: until the token expires, or their session ends before that."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress

from router.errors import RequestError, RequestErrorCode
from router.executor.json_bytes import write_json
from router.pipeline.auth import Identity
from router.pipeline.lru import Lru

REMEMBERED = 100_000
"""Ended sessions that are remembered; their tokens live for minutes only."""

ENDED = "The session has ended. Log in again."
EXPIRED = "The access token has expired. Connect again with a new one."


class EndedSessions:
    """The sessions (``sid`` of a token) that are known to have ended."""

    def __init__(self) -> None:
        self._ended: Lru[str, bool] = Lru(REMEMBERED)
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)

    def end(self, session: str) -> None:
        """From now on the session's tokens are refused, and what streams to it stops."""
        self._ended.put(session, True)
        for over in self._watchers.get(session, ()):
            over.set()

    def check(self, identity: Identity) -> None:
        """Raises RequestError if the caller's session has ended."""
        if identity.session is not None and self._ended.get(identity.session):
            raise RequestError(RequestErrorCode.UNAUTHENTICATED, ENDED, status=401, malformed=True)

    @contextmanager
    def watch(self, session: str | None) -> Iterator[asyncio.Event]:
        """An event that is set when the session ends."""
        over = asyncio.Event()
        if session is None:
            yield over
            return
        if self._ended.get(session):
            over.set()
        self._watchers[session].add(over)
        try:
            yield over
        finally:
            self._watchers[session].discard(over)
            if not self._watchers[session]:
                del self._watchers[session]


async def while_signed_in(
    payloads: AsyncGenerator[bytes, None], identity: Identity, sessions: EndedSessions
) -> AsyncGenerator[bytes, None]:
    """The payloads, and one that says why when the caller may have no more of them."""
    following: asyncio.Future[bytes | None] | None = None
    with sessions.watch(identity.session) as over:
        ending = asyncio.ensure_future(over.wait())
        try:
            while True:
                following = asyncio.ensure_future(anext(payloads, None))
                left = max(0.0, identity.expires - time.time())
                await asyncio.wait(
                    {following, ending},
                    timeout=None if left == float("inf") else left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if ending.done() or not following.done():
                    yield _last_words(ENDED if ending.done() else EXPIRED)
                    return
                payload = following.result()
                if payload is None:
                    return
                yield payload
        finally:
            ending.cancel()
            if following is not None and not following.done():
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
            await payloads.aclose()


def _last_words(why: str) -> bytes:
    return write_json({"errors": [{"message": why, "extensions": {"code": RequestErrorCode.UNAUTHENTICATED.value}}]})
