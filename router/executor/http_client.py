"""The HTTP clients behind a narrow interface: pyreqwest by default, aiohttp as the fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import aiohttp
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ConnectTimeoutError,
    PoolTimeoutError,
    PyreqwestError,
    ReadTimeoutError,
    RequestTimeoutError,
    WriteTimeoutError,
)

from router.errors import RequestErrorCode, SubgraphError


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response that has been read whole."""

    status: int
    body: bytes | memoryview
    retry_after: str | None = None
    cache_control: str | None = None


class HttpClient(Protocol):
    """POST over kept-alive connections. Every failure is raised as SubgraphError."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int, timeout: float | None = None
    ) -> HttpAnswer:
        """Send and read the whole answer, at most ``max_bytes`` of it, in ``timeout`` seconds (None: the client's own).

        A call that is cancelled may keep its connection until its time is over.
        """
        ...

    def stream(self, url: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Send and give the body's pieces as they come, without a limit of time."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class PyreqwestClient:
    """Rust's reqwest: the cheapest client measured. Redirects are not followed, proxies of the environment not used."""

    def __init__(self, *, timeout: float = 3.0, connect_timeout: float = 0.5) -> None:
        self._timeout = timedelta(seconds=timeout)
        self._connect_timeout = timedelta(seconds=connect_timeout)
        self._client: Client | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int, timeout: float | None = None
    ) -> HttpAnswer:
        """See HttpClient."""
        try:
            # A cancellation does not reach the peer: the connection of a call that is given up closes at this time.
            limit = self._timeout if timeout is None else timedelta(seconds=timeout)
            request = self._open().post(url).timeout(limit).headers(dict(headers)).body_bytes(body)
            async with request.build_streamed() as response:
                declared = response.get_header("content-length")
                if declared is not None and declared.isdigit() and int(declared) > max_bytes:
                    raise _too_large()
                first = await response.body_reader.read(max_bytes + 1)
                later = response.get_header("retry-after") if response.status >= 400 else None
                if first is None:
                    return HttpAnswer(response.status, b"", later)
                if len(first) > max_bytes:
                    raise _too_large()
                return HttpAnswer(response.status, memoryview(first), later, response.get_header("cache-control"))
        except PyreqwestError as error:
            raise _pyreqwest_error(error) from None

    async def stream(self, url: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """See HttpClient."""
        try:
            request = self._open().post(url).headers(dict(headers)).body_bytes(body)
            # Without a limit of 0 the client reads ahead and gives an event only when many have come.
            async with request.streamed_read_buffer_limit(0).build_streamed() as response:
                _check_stream(response.status, response.get_header("content-type"))
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    yield bytes(memoryview(chunk))
        except PyreqwestError as error:
            raise _pyreqwest_error(error) from None

    async def close(self) -> None:
        """See HttpClient."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> Client:
        if self._client is None:
            builder = ClientBuilder().connect_timeout(self._connect_timeout).no_proxy().max_connections(None)
            self._client = builder.build()
        return self._client


class AiohttpClient:
    """The fallback: pure Python and C, for machines without a pyreqwest wheel."""

    def __init__(self, *, timeout: float = 3.0, connect_timeout: float = 0.5) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)
        self._stream_timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int, timeout: float | None = None
    ) -> HttpAnswer:
        """See HttpClient."""
        try:
            async with self._open().post(
                url, data=body, headers=headers, timeout=self._bounded(timeout), allow_redirects=False
            ) as response:
                read = bytearray()
                async for chunk in response.content.iter_any():
                    read += chunk
                    if len(read) > max_bytes:
                        raise _too_large()
                told = response.headers
                return HttpAnswer(response.status, bytes(read), told.get("retry-after"), told.get("cache-control"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _aiohttp_error(error) from None

    async def stream(self, url: str, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """See HttpClient."""
        try:
            async with self._open().post(
                url, data=body, headers=headers, timeout=self._stream_timeout, allow_redirects=False
            ) as response:
                _check_stream(response.status, response.headers.get("content-type"))
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _aiohttp_error(error) from None

    async def close(self) -> None:
        """See HttpClient."""
        if self._session is not None:
            await self._session.close()
            # aiohttp closes its sockets one turn of the loop later.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            self._session = None

    def _bounded(self, timeout: float | None) -> aiohttp.ClientTimeout:
        if timeout is None:
            return self._timeout
        return aiohttp.ClientTimeout(total=timeout, sock_connect=self._timeout.sock_connect)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=True)
        return self._session


def _check_stream(status: int, content_type: str | None) -> None:
    if not 200 <= status < 300:
        raise SubgraphError(RequestErrorCode.SUBGRAPH_HTTP_ERROR, f"The subgraph answered with HTTP status {status}.")
    if not (content_type or "").startswith("text/event-stream"):
        message = "The subgraph did not answer with an event stream."
        raise SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, message)


def _too_large() -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, "The subgraph's answer is too large.")


_PYREQWEST_TIMEOUTS = (
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    RequestTimeoutError,
    WriteTimeoutError,
)


def _pyreqwest_error(error: PyreqwestError) -> SubgraphError:
    if isinstance(error, ConnectTimeoutError | PoolTimeoutError):
        return _timeout(again=True)
    return _timeout() if isinstance(error, _PYREQWEST_TIMEOUTS) else _unreachable()


def _aiohttp_error(error: Exception) -> SubgraphError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _timeout(again=True)
    return _timeout() if isinstance(error, TimeoutError) else _unreachable()


def _timeout(*, again: bool = False) -> SubgraphError:
    """``again``: not even a connection was made, so a second try has time left and does no work twice."""
    return SubgraphError(RequestErrorCode.SUBGRAPH_TIMEOUT, "The subgraph did not answer in time.", again=again)


def _unreachable() -> SubgraphError:
    return SubgraphError(RequestErrorCode.SUBGRAPH_UNREACHABLE, "The subgraph could not be reached.", again=True)


def open_client(kind: str, **timeouts: Any) -> HttpClient:
    """The client named in the settings: ``pyreqwest`` or ``aiohttp``."""
    return AiohttpClient(**timeouts) if kind == "aiohttp" else PyreqwestClient(**timeouts)
