"""What a database refuses because of what it was given, not because of how it is."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

_NO_TEXT = {"22021", "22P05"}
"""SQLSTATEs: a character that is not in the repertoire, one that JSON cannot have. PostgreSQL keeps no U+0000."""


def is_no_text(error: BaseException) -> bool:
    """Whether a text had a character that this database has no place for."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _NO_TEXT
