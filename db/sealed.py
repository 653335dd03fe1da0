"""Columns whose values are sealed on their way into the database and opened on their way out."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Dialect, String, Text
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from db import vault

IndexType = String(vault.INDEX_LENGTH)
"""A blind index: what a sealed column is looked up by."""


class Sealed(TypeDecorator[Any]):
    """Text that only the shop's keys open. ``place`` (``users.user_account.email``) is part of what is sealed.

    Two seals of one text differ, so a comparison would never match: it raises TypeError. Only null can be asked for.
    """

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    class comparator_factory(TypeDecorator.Comparator[Any]):  # noqa: N801
        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            if op in (operators.is_, operators.is_not):
                return super().operate(op, *other, **kwargs)
            raise TypeError(f"{self.expr} is sealed: look it up by its blind index")

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else vault.ring().seal(value, self.place)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else vault.ring().open(value, self.place)


class SealedJson(Sealed):
    """The same for what JSON can write."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else super().process_bind_param(orjson.dumps(value).decode(), dialect)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        text = super().process_result_value(value, dialect)
        return None if text is None else orjson.loads(text)
