"""What must not be readable in a stolen database: encrypted at rest with a key that is not in it."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Unreadable(Exception):
    """A value that none of our keys opens: a key was lost, or the database is another shop's."""


class Vault:
    """Encrypts with the first key and decrypts with any, so that keys can be rotated."""

    def __init__(self, keys: list[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises Unreadable."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise Unreadable("a sealed value does not open with the keys given") from error

    def matches(self, sealed: str, given: str) -> bool:
        """Whether ``given`` is what was sealed, in constant time."""
        return hmac.compare_digest(self.open(sealed).encode(), given.encode())


def generated_key(folder: Path) -> str:
    """The key kept in ``folder``, made at the first call (development: in production the key is a setting)."""
    path = folder / "payments.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".payments.key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_bytes(Fernet.generate_key())
        try:
            os.link(draft, path)  # whoever links first wins, whole file or nothing
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
