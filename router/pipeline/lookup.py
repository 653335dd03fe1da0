"""The text of a request's document: sent along, or named by an id or a hash.

Two ways lead to a text that was not sent: manifests (``persisted``), which the operator gives, and automatic
persisted queries, where a client that was told ``PersistedQueryNotFound`` sends text and hash together once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from router.errors import RequestError, RequestErrorCode
from router.pipeline.clients import Client
from router.pipeline.lru import Lru
from router.pipeline.persisted import HASH, PersistedOperation, document_hash
from router.pipeline.request import GraphQLRequest
from router.pipeline.shared import Away, Shared

SHA256_PREFIX = "sha256:"
NOT_FOUND = "PersistedQueryNotFound"
"""The words that clients of automatic persisted queries wait for."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document's text. ``persisted``: the operation, if a manifest has it. ``register``: the hash to keep it by."""

    text: str
    persisted: PersistedOperation | None = None
    register: str | None = None


class TextStore(Protocol):
    """Where automatic persisted queries are kept. It may forget anything at any time."""

    async def get(self, digest: str) -> str | None:
        """The text of that hash."""

    async def put(self, digest: str, text: str) -> None:
        """Keep a text by its hash."""


class MemoryStore:
    """The texts used last, in this process."""

    def __init__(self, size: int) -> None:
        self._texts: Lru[str, str] = Lru(size)

    async def get(self, digest: str) -> str | None:
        """The text of that hash."""
        return self._texts.get(digest)

    async def put(self, digest: str, text: str) -> None:
        """Keep a text by its hash."""
        self._texts.put(digest, text)


class RedisTexts:
    """The texts that all routers at one Redis know, kept for ``lifetime`` seconds after a router last looked them up
    there. While it is away, each router knows its own."""

    def __init__(self, shared: Shared, own: MemoryStore, lifetime: float) -> None:
        self._shared = shared
        self._own = own
        self._lifetime = max(1, int(lifetime))

    async def get(self, digest: str) -> str | None:
        """See TextStore."""
        key = self._shared.key("text", digest)
        try:
            found = await self._shared.ask(lambda: self._shared.client.getex(key, ex=self._lifetime))
        except Away:
            return await self._own.get(digest)
        if found is None:
            return None
        text = cast(bytes, found).decode("utf-8", "surrogatepass")
        # Whoever else writes there shall not choose what clients of ours run.
        return text if document_hash(text) == digest else None

    async def put(self, digest: str, text: str) -> None:
        """See TextStore."""
        await self._own.put(digest, text)
        key, value = self._shared.key("text", digest), text.encode("utf-8", "surrogatepass")
        with suppress(Away):
            await self._shared.ask(lambda: self._shared.client.set(key, value, ex=self._lifetime))


class LookUp:
    """Finds texts. ``store`` is None where automatic persisted queries are off."""

    def __init__(self, store: TextStore | None) -> None:
        self._store = store

    async def find(self, request: GraphQLRequest, client: Client) -> Found:
        """The text to run for this client. Raises RequestError."""
        digest = _digest(request.extensions)
        if request.query is None:
            return await self._named(request.document_id, digest, client)
        if digest is not None and document_hash(request.query) != digest:
            message = "The document does not have the hash that came with it: send the SHA-256 of its exact text."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, malformed=True)
        persisted = client.by_body.get(request.query)
        if persisted is None and client.safelist and (client.alone or not request.trusted):
            raise _only_persisted()
        register = None if digest in client.by_id else digest
        return Found(request.query, persisted, register)

    async def register(self, found: Found) -> None:
        """Keep a text that turned out to be a valid document, if its client asked for it."""
        if found.register is not None and self._store is not None:
            await self._store.put(found.register, found.text)

    async def _named(self, document_id: str | None, digest: str | None, client: Client) -> Found:
        if document_id is not None:
            name = document_id.removeprefix(SHA256_PREFIX)
            persisted = client.by_id.get(name.lower() if HASH.fullmatch(name) else name)
            if persisted is None:
                raise _unknown(document_id)
            return Found(persisted.body, persisted)
        if digest is None:
            raise RequestError(RequestErrorCode.BAD_REQUEST, 'The request has no "query".', malformed=True)
        persisted = client.by_id.get(digest)
        if persisted is not None:
            return Found(persisted.body, persisted)
        if client.safelist:
            raise _unknown(digest)
        if self._store is None:
            code, message = RequestErrorCode.PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported"
            raise RequestError(code, message)
        text = await self._store.get(digest)
        if text is None:
            raise RequestError(RequestErrorCode.PERSISTED_QUERY_NOT_FOUND, NOT_FOUND)
        return Found(text)


def _digest(extensions: Mapping[str, Any]) -> str | None:
    entry = extensions.get("persistedQuery")
    if entry is None:
        return None
    digest = entry.get("sha256Hash") if isinstance(entry, dict) else None
    if not isinstance(digest, str) or not HASH.fullmatch(digest):
        message = 'extensions.persistedQuery must hold "sha256Hash": 64 hexadecimal digits.'
        raise RequestError(RequestErrorCode.BAD_REQUEST, message, malformed=True)
    if entry.get("version", 1) != 1:
        message = "Only version 1 of automatic persisted queries is supported."
        raise RequestError(RequestErrorCode.PERSISTED_QUERY_NOT_SUPPORTED, message)
    return digest.lower()


def _unknown(name: str) -> RequestError:
    shown = name if len(name) <= 80 else name[:80] + "..."
    message = f'No persisted operation has the id "{shown}". Publish it in this client\'s manifest first.'
    return RequestError(RequestErrorCode.PERSISTED_QUERY_NOT_FOUND, message)


def _only_persisted() -> RequestError:
    message = "Only persisted operations are accepted. Publish this one in the client's manifest and send its id."
    return RequestError(RequestErrorCode.PERSISTED_QUERY_ONLY, message, status=403)
