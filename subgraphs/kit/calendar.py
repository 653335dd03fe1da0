"""The days and instants that clients may name: those that every zone and every database can say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema

FIRST_YEAR, LAST_YEAR = 1000, 9998
"""MariaDB begins with the year 1000; Python ends with 9999, and there must be room for a day more."""


def bound_dates(schema: GraphQLSchema) -> None:
    """Make the scalars Date and DateTime refuse, as input, what is outside of these years in UTC."""
    for name in ("Date", "DateTime"):
        type_ = schema.get_type(name)
        if isinstance(type_, GraphQLScalarType) and not isinstance(type_.coerce_input_value, _Bounded):
            type_.coerce_input_value = type_.parse_value = _Bounded(name, type_.coerce_input_value)  # type: ignore[method-assign]


class _Bounded:
    """A scalar's parser whose values are looked at."""

    def __init__(self, name: str, parse: Callable[[Any], Any]) -> None:
        self._name = name
        self._parse = parse

    def __call__(self, value: Any) -> Any:
        parsed = self._parse(value)
        if isinstance(parsed, date) and not _in_range(parsed):
            raise GraphQLError(f"A {self._name} is in the years {FIRST_YEAR} to {LAST_YEAR}.")
        return parsed


def _in_range(when: date) -> bool:
    try:
        utc = when.astimezone(UTC) if isinstance(when, datetime) and when.tzinfo is not None else when
    except OverflowError:
        return False
    return FIRST_YEAR <= utc.year <= LAST_YEAR
