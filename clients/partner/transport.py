"""Sends persisted operations by their hash, and tells typed errors apart."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec

TRIES = 3
LONGEST_PAUSE = 5.0
"""Seconds between two tries, whatever the server asks for."""

AGAIN = frozenset({429, 502, 503, 504})

T = TypeVar("T")


class PartnerError(Exception):
    """Anything that went wrong."""


class Unavailable(PartnerError):
    """The graph gave no answer: it cannot be reached, is too busy, or this client asks too often."""


class Refused(PartnerError):
    """The graph answered with errors. ``codes`` are their codes, in order; ``data`` is what it could answer."""

    def __init__(self, errors: list[dict[str, Any]], data: Any) -> None:
        super().__init__("; ".join(str(error.get("message")) for error in errors))
        self.codes = tuple(str((error.get("extensions") or {}).get("code")) for error in errors)
        self.data = data


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[dict[str, Any]] = []


class PartnerClient:
    """One integration's connection to the graph; ``url`` is that of ``/graphql``.

    ``token`` is a member's access token: the key says which program asks, the token for whom.
    """

    def __init__(self, url: str, api_key: str, token: str | None = None, timeout: float = 10.0) -> None:
        headers = {"x-api-key": api_key, "accept": "application/graphql-response+json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        self._url = url
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout)

    async def __aenter__(self) -> PartnerClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()

    async def run(self, document_id: str, variables: Mapping[str, Any], result: type[T], *, again: bool) -> T:
        """Run a persisted operation. ``again``: it may be sent more than once, as queries may.

        Raises Refused for errors in the answer, Unavailable where there is none.
        """
        given = {name: value for name, value in variables.items() if value is not msgspec.UNSET}
        body = msgspec.json.encode({"documentId": document_id, "variables": given})
        envelope = await self._send(body, TRIES if again else 1)
        if envelope.errors:
            raise Refused(envelope.errors, msgspec.json.decode(envelope.data))
        return msgspec.json.decode(envelope.data, type=result)

    async def _send(self, body: bytes, tries: int) -> _Envelope:
        for left in reversed(range(tries)):
            pause = random.uniform(0.1, 0.3) * 2 ** (tries - left - 1)
            try:
                answer = await self._http.post(self._url, content=body, headers={"content-type": "application/json"})
            except httpx.TransportError as error:
                if not left:
                    raise Unavailable(f"the graph cannot be reached: {type(error).__name__}") from error
            else:
                if answer.status_code not in AGAIN:
                    return _read(answer)
                if not left:
                    raise Unavailable(f"the graph answered with HTTP status {answer.status_code}")
                asked = answer.headers.get("retry-after", "")
                pause = max(pause, float(asked)) if asked.isdecimal() else pause
            await asyncio.sleep(min(pause, LONGEST_PAUSE))
        raise AssertionError("the last try returns or raises")


def _read(answer: httpx.Response) -> _Envelope:
    try:
        return msgspec.json.decode(answer.content, type=_Envelope)
    except msgspec.DecodeError as error:
        raise Unavailable(f"no GraphQL answer, but HTTP status {answer.status_code}") from error
