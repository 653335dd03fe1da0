"""Relay connections by keyset: a cursor holds the sort values and the id of the row it stands on, signed."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from subgraphs.kit.types import PageInfo

T = TypeVar("T")

MAX_PAGE = 100
_SIGNATURE_BYTES = 10


class InvalidPage(Exception):
    """``first`` or ``after`` is not usable; becomes a top-level error with code BAD_USER_INPUT."""

    code = "BAD_USER_INPUT"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of rows with their cursors."""

    rows: Sequence[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool

    @property
    def info(self) -> PageInfo:
        return PageInfo(
            has_next_page=self.has_next,
            has_previous_page=self.has_previous,
            start_cursor=self.cursors[0] if self.cursors else None,
            end_cursor=self.cursors[-1] if self.cursors else None,
        )


class Cursors:
    """Signs and reads cursors. ``order`` names the sort: a cursor of one list is refused by another."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.blake2b(secret.encode(), person=b"cursors").digest()

    def encode(self, order: str, values: Sequence[Any]) -> str:
        body = orjson.dumps([order, *values])
        return urlsafe_b64encode(self._sign(body) + body).rstrip(b"=").decode()

    def decode(self, order: str, cursor: str) -> list[Any]:
        """The sort values. Raises InvalidPage for a cursor that this list did not give out."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise InvalidPage("This cursor is not one of ours.") from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidPage("This cursor is not one of ours.")
        found, *values = orjson.loads(body)
        if found != order:
            raise InvalidPage("This cursor belongs to another list or sort.")
        return list(values)

    def page(
        self, order: str, rows: Sequence[T], first: int, after: str | None, key: Callable[[T], Sequence[Any]]
    ) -> Page[T]:
        """The page of ``rows`` (fetched with ``limit(first + 1)``); ``key`` gives a row's JSON-able sort values."""
        shown = rows[:first]
        return Page(shown, [self.encode(order, key(row)) for row in shown], len(rows) > first, after is not None)

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_SIGNATURE_BYTES]


def page_size(first: int | None, default: int = 20) -> int:
    """``first``, checked. Raises InvalidPage outside 0 to 100."""
    wanted = default if first is None else first
    if not 0 <= wanted <= MAX_PAGE:
        raise InvalidPage(f"first must be between 0 and {MAX_PAGE}.")
    return wanted
