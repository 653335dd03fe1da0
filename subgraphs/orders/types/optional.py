"""Arguments that may be left out: their default is not printed, so that the schema has none."""

from __future__ import annotations

from typing import TypeVar

import strawberry

T = TypeVar("T")


def given(value: T | None) -> T | None:
    """The value; None when it was left out."""
    return None if value is strawberry.UNSET else value
