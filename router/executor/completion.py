"""Completing an answer with errors: the careful way, taken when the data do not fit their types.

This is the specification's CompleteValue (6.4.3): values that do not fit become null, null in a non-null position
moves up to the nearest position that may be null, and each gets an error with its path.
"""

from __future__ import annotations

from typing import Any

from router.errors import RequestErrorCode
from router.executor.leaves import Unfit, leaf
from router.executor.type_ref import TypeRef, parse_type
from router.query_plan.nodes import Shape, ShapeField

Error = dict[str, Any]
ResponsePath = tuple[str | int, ...]


class _Bubble(Exception):
    """A null that its position cannot hold."""


def complete(shape: Shape, data: dict[str, Any], errors: list[Error]) -> dict[str, Any] | None:
    """The client's ``data``; ``errors``, those of the subgraphs, get the errors found here added.

    A null that a subgraph's error has explained gets no second error.
    """
    return _Completion(errors).run(shape, data)


class _Completion:
    def __init__(self, errors: list[Error]) -> None:
        self._errors = errors
        self._explained = [tuple(error.get("path") or ()) for error in errors]

    def run(self, shape: Shape, data: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self._object(shape, data, ())
        except _Bubble:
            return None

    def _object(self, shape: Shape, value: Any, path: ResponsePath) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self._report("Expected an object.", path)
            return None
        fields = self._fields(shape, value, path)
        if fields is None:
            return None
        return {field.response_name: self._member(field, value, path) for field in fields}

    def _fields(self, shape: Shape, value: dict[str, Any], path: ResponsePath) -> tuple[ShapeField, ...] | None:
        if not shape.abstract and len(shape.variants) == 1:
            return shape.variants[0].fields
        typename = value.get("__typename")
        if not isinstance(typename, str):
            self._report("The object's type is not known.", path)
            return None
        # A type without a variant is hidden from clients, who are told no more than null.
        return next((variant.fields for variant in shape.variants if typename in variant.types), None)

    def _member(self, field: ShapeField, value: dict[str, Any], path: ResponsePath) -> Any:
        if field.constant is not None:
            return field.constant
        return self._value(parse_type(field.type), field, value.get(field.key), (*path, field.response_name))

    def _value(self, type_: TypeRef, field: ShapeField, value: Any, path: ResponsePath) -> Any:
        try:
            made = None if value is None else self._present(type_, field, value, path)
        except _Bubble:
            if type_.nullable:
                return None
            raise
        if made is None and not type_.nullable:
            if not self._explained_within(path[:-1]):
                self._report(f'Cannot return null for a position of type "{type_}".', path)
            raise _Bubble
        return made

    def _present(self, type_: TypeRef, field: ShapeField, value: Any, path: ResponsePath) -> Any:
        if type_.item is not None:
            if not isinstance(value, list):
                self._report("Expected a list.", path)
                return None
            item = type_.item
            return [self._value(item, field, member, (*path, index)) for index, member in enumerate(value)]
        if field.shape is not None:
            return self._object(field.shape, value, path)
        try:
            return leaf(type_.name, field.enum_values)(value)
        except Unfit:
            self._report(f'Expected a value of type "{type_.name}".', path)
            return None

    def _explained_within(self, place: ResponsePath) -> bool:
        """Whether an error of one of its fields may have taken the whole entity from a subgraph's answer."""
        return bool(place) and any(known[: len(place)] == place for known in self._explained)

    def _report(self, message: str, path: ResponsePath) -> None:
        if any(path[: len(known)] == known or known[: len(path)] == path for known in self._explained):
            return
        self._explained.append(path)
        code = RequestErrorCode.INVALID_SUBGRAPH_VALUE
        self._errors.append({"message": message, "path": list(path), "extensions": {"code": code}})
