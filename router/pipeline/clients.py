"""Who is asking, as a program: clients known by an API key, and what each may run.

A client without keys is anybody's: its manifest can be used by every request that is not restricted to another one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from router.errors import RequestError, RequestErrorCode, SourceError
from router.pipeline.persisted import Manifest, PersistedOperation, read_manifest
from router.settings import ClientSettings, Rate, Settings

KEY_HASH = re.compile(r"[0-9a-f]{64}")
NO_KEY = "-"
"""The name of whoever sends no key."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client. ``by_id`` and ``by_body`` are the operations known to it; ``safelist``: it may run no others, but
    what paths of REST are bound to; ``alone``: not even that."""

    name: str
    by_id: Mapping[str, PersistedOperation] = field(default_factory=dict)
    by_body: Mapping[str, PersistedOperation] = field(default_factory=dict)
    safelist: bool = False
    cost: int | None = None
    rate: Rate | None = None
    alone: bool = False


class Clients:
    """The clients of the settings, with their manifests read."""

    def __init__(self, settings: Settings) -> None:
        """Raises SourceError for a manifest that cannot be used, and for keys that are no hashes or are shared."""
        self.header = settings.api_key_header.lower()
        configured = settings.clients
        manifests = {name: read_manifest(one.manifest) for name, one in configured.items() if one.manifest is not None}
        public = [manifests[name] for name, one in configured.items() if not one.keys and name in manifests]
        # In development every document may be tried, whatever production allows.
        safelist = settings.safelist and not settings.dev
        self._without_key = Client(NO_KEY, *_known(public), safelist=safelist)
        self._by_hash: list[tuple[bytes, Client]] = []
        for name, one in configured.items():
            own = [manifests[name]] if name in manifests else []
            made = _client(name, one, own if one.safelist else [*own, *public], safelist)
            self._by_hash += [(digest, made) for digest in _hashes(name, one)]
        if len({digest for digest, _ in self._by_hash}) < len(self._by_hash):
            raise SourceError("Two clients have the same API key.")
        self.operations = tuple(operation for manifest in manifests.values() for operation in manifest.operations)
        """Every persisted operation of every client."""
        self.published: dict[str, list[str]] = {}
        """Their names, by who runs them."""
        for name, manifest in manifests.items():
            mine = self.published.setdefault(name if configured[name].keys else NO_KEY, [])
            mine += [operation.name for operation in manifest.operations]

    def identify(self, headers: Mapping[str, str]) -> Client:
        """The client that a request's key belongs to. Raises RequestError (401) for an unknown key."""
        key = headers.get(self.header)
        if key is None:
            return self._without_key
        digest = sha256(key.encode("utf-8", "surrogatepass")).digest()
        found: Client | None = None
        for known, client in self._by_hash:
            # All are compared, each in constant time: the answer's time tells nothing of the keys.
            if hmac.compare_digest(known, digest):
                found = client
        if found is None:
            message = f"The API key in {self.header} is not known. Ask the operator for a key, or send none."
            raise RequestError(RequestErrorCode.UNAUTHENTICATED, message, status=401, malformed=True)
        return found


def _client(name: str, settings: ClientSettings, manifests: list[Manifest], safelist: bool) -> Client:
    restricted = settings.safelist or safelist
    return Client(name, *_known(manifests), restricted, settings.cost, settings.rate, alone=settings.safelist)


def _known(manifests: list[Manifest]) -> tuple[dict[str, PersistedOperation], dict[str, PersistedOperation]]:
    by_id: dict[str, PersistedOperation] = {}
    by_body: dict[str, PersistedOperation] = {}
    for manifest in reversed(manifests):  # the first, a client's own, wins
        by_id |= manifest.by_id
        by_body |= manifest.by_body
    return by_id, by_body


def _hashes(name: str, settings: ClientSettings) -> list[bytes]:
    hashes = [key.get_secret_value().lower() for key in settings.keys]
    if not all(KEY_HASH.fullmatch(one) for one in hashes):
        message = f'The keys of client "{name}" must be the SHA-256 hashes of its API keys, as 64 hexadecimal digits.'
        raise SourceError(f"{message} `printf %s KEY | sha256sum` prints one.")
    return [bytes.fromhex(one) for one in hashes]
