"""Identifiers: ULIDs inside, opaque ``base64url("Type:ULID")`` in the graph."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ulid import ULID

from db.ids import ALPHABET
from db.ids import new_ulid as new_ulid
from subgraphs.kit.errors import Rejected

_ALPHABET = frozenset(ALPHABET)


def is_ulid(text: str) -> bool:
    return len(text) == 26 and text[0] <= "7" and _ALPHABET.issuperset(text)


def minted_at(ulid: str) -> datetime:
    """The instant that the ULID carries, to the millisecond. Whoever made the ULID chose it: a hint, not a proof."""
    return datetime.fromtimestamp(ULID.from_str(ulid).milliseconds / 1000, UTC)


def is_fresh(ulid: str, now: datetime, within: timedelta = timedelta(seconds=30)) -> bool:
    """Whether the id claims to have been made a moment ago, so that news of it may still be on its way here."""
    made = ULID.from_str(ulid).milliseconds / 1000  # no datetime: a forged id may carry a year beyond 9999
    return abs(now.timestamp() - made) < within.total_seconds()


@lru_cache(maxsize=65_536)
def global_id(type_name: str, ulid: str) -> str:
    """The id that clients see."""
    return urlsafe_b64encode(f"{type_name}:{ulid}".encode()).rstrip(b"=").decode()


def local_id(type_name: str, given: str, *, field: Sequence[str] | None = None) -> str:
    """The ULID in a client's id. Raises Rejected NOT_FOUND if it is no id of this type: it can't name anything."""
    found = named_id(type_name, given)
    if found is None:
        raise Rejected("NOT_FOUND", f"No {type_name} has this id.", field)
    return found


def named_id(type_name: str, given: str) -> str | None:
    """The ULID in a client's id, for who reads; None if it is no id of this type, as if nothing had it."""
    found = parse_id(given)
    return found[1] if found is not None and found[0] == type_name else None


@lru_cache(maxsize=65_536)
def parse_id(given: str) -> tuple[str, str] | None:
    """Type name and ULID of a client's id, or None if it is not one."""
    if len(given) > 128:
        return None
    try:
        decoded = urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    type_name, _, ulid = decoded.partition(":")
    return (type_name, ulid) if type_name and is_ulid(ulid) else None
