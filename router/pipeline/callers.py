"""Who is calling: the program by its API key, the person by their token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.errors import RequestError
from router.pipeline.auth import Identity, TokenVerifier
from router.pipeline.clients import Client, Clients
from router.pipeline.rate_limits import RateLimiter
from router.pipeline.signed_in import EndedSessions


@dataclass(frozen=True, slots=True)
class Caller:
    """A program, and the person it speaks for."""

    client: Client
    identity: Identity


class Callers:
    """Finds out who sent a request."""

    def __init__(
        self, clients: Clients, tokens: TokenVerifier, limiter: RateLimiter, ended_sessions: EndedSessions
    ) -> None:
        self._limiter = limiter
        self.ended_sessions = ended_sessions
        self._clients = clients
        self._tokens = tokens

    async def admit(self, headers: Mapping[str, str]) -> Caller:
        """The caller, whose request is counted. Raises RequestError like ``identify``, and (429) for too many."""
        caller = await self.identify(headers)
        await self._limiter.admit(caller.client, caller.identity, headers)
        return caller

    async def identify(self, headers: Mapping[str, str]) -> Caller:
        """The caller. Raises RequestError for a key or a token that is not valid, and for a session that has ended.

        Guesses of keys and tokens are counted by address, wherever they are made.
        """
        try:
            client = self._clients.identify(headers)
            identity = await self._tokens.identify(headers.get("authorization"))
            self.ended_sessions.check(identity)
        except RequestError:
            await self._limiter.admit_stranger(headers)
            raise
        return Caller(client, identity)
