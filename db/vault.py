"""What must not be readable in a stolen database: sealed with keys that are not in it.

A sealed value is ``<key's name>.<base64url of nonce, ciphertext and tag>``, AES-256-GCM (NIST SP 800-38D) with a random
96-bit nonce, bound to the place it was sealed for: a value moved to another column does not open. What must be found
by its exact value has a blind index beside it: an HMAC under a key of its own.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

KEY_BYTES, NONCE_BYTES = 32, 12
INDEX_LENGTH = 43
_NAME = re.compile(r"[a-z0-9]{1,12}")
_SEALED = re.compile(r"[a-z0-9]{1,12}\.[A-Za-z0-9_-]{38,}={0,2}")


class BadKeys(ValueError):
    """The keys given cannot be used; the message says why, without showing them."""


class Unreadable(Exception):
    """A sealed value that does not open: its key is not among ours, or it was changed or moved."""


class VaultSettings(BaseSettings):
    """The keys of personal data, the same for every process of a shop."""

    model_config = SettingsConfigDict(env_prefix="DURE_", extra="ignore")

    data_keys: SecretStr = Field(
        description="Keys that seal personal data, `name:key` separated by commas: the first seals, all open. "
        "`dure keys new` makes one. Lost keys are lost data."
    )
    index_key: SecretStr = Field(
        description="Secret of the blind indexes, by which people are found by e-mail and phone. It stays as it is."
    )


class KeyRing:
    """Named keys: the first seals, all open."""

    def __init__(self, keys: Mapping[str, bytes], index_key: bytes) -> None:
        """Raises BadKeys."""
        if not keys:
            raise BadKeys("there is no key")
        for name, key in keys.items():
            if not _NAME.fullmatch(name):
                raise BadKeys("a key's name has 1 to 12 lower-case letters and digits")
            if len(key) != KEY_BYTES:
                raise BadKeys(f"key {name} has {len(key)} bytes, not {KEY_BYTES}")
        if len(index_key) < KEY_BYTES:
            raise BadKeys(f"the index key is shorter than {KEY_BYTES} bytes")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._index_key = HKDFExpand(SHA256(), KEY_BYTES, b"dure blind index").derive(sha256(index_key).digest())
        self.current = next(iter(keys))

    @classmethod
    def parse(cls, keys: str, index_key: str) -> KeyRing:
        """From the two settings. Raises BadKeys."""
        named: dict[str, bytes] = {}
        for each in keys.split(","):
            name, separator, encoded = each.strip().partition(":")
            if not separator or name in named:
                raise BadKeys("keys are written name:key, separated by commas, each name once")
            try:
                named[name] = urlsafe_b64decode(encoded)
            except ValueError:
                raise BadKeys(f"key {name} is not base64") from None
        return cls(named, index_key.encode())

    @property
    def names(self) -> list[str]:
        """The keys' names, the one that seals first."""
        return list(self._ciphers)

    def seal(self, text: str, context: str) -> str:
        """The text, sealed for this place."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), context.encode())
        return f"{self.current}.{urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The text that was sealed for this place. Raises Unreadable."""
        name, _, body = sealed.partition(".")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Unreadable(f"{context}: sealed with a key that is not among {', '.join(self._ciphers)}")
        try:
            raw = urlsafe_b64decode(body)
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(f"{context}: changed, or sealed with another key named {name}") from None

    def reseal(self, sealed: str, context: str) -> str:
        """The same text under the first key. Raises Unreadable."""
        return self.seal(self.open(sealed, context), context)

    def index(self, text: str, context: str) -> str:
        """What finds a text by equality without telling it: equal for equal texts of one place."""
        digest = hmac.digest(self._index_key, f"{context}\0{text}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def is_sealed(text: str) -> bool:
    """Whether it looks like a sealed value (of any key): what people type never does."""
    return _SEALED.fullmatch(text) is not None


def new_key() -> str:
    """32 random bytes as the setting writes them."""
    return urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


@cache
def ring() -> KeyRing:
    """The ring of this process, from its environment (``ring.cache_clear()`` reads that anew). Raises BadKeys."""
    try:
        settings = VaultSettings()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        missing = ", ".join(f"DURE_{str(each['loc'][0]).upper()}" for each in error.errors())
        raise BadKeys(f"personal data cannot be sealed: set {missing}") from None
    return KeyRing.parse(settings.data_keys.get_secret_value(), settings.index_key.get_secret_value())
