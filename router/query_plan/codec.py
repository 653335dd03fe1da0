"""Query plans as JSON, there and back.

An object's ``kind`` is its class; sets are sorted lists. Members that have their default value are left out.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from functools import cache
from typing import Any

from router.query_plan import nodes
from router.query_plan.nodes import QueryPlan

_CLASSES: dict[str, Any] = {
    name: value for name, value in vars(nodes).items() if isinstance(value, type) and dataclasses.is_dataclass(value)
}


def to_json(plan: QueryPlan) -> str:
    """The plan as JSON text."""
    return json.dumps(to_data(plan), ensure_ascii=False)


def from_json(text: str | bytes) -> QueryPlan:
    """The plan that ``to_json`` wrote. Raises ValueError if the text is no plan."""
    try:
        plan = _decode(json.loads(text), QueryPlan)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a query plan: {error}") from error
    if not isinstance(plan, QueryPlan):
        raise ValueError("not a query plan")
    return plan


def to_data(value: Any) -> Any:
    """A plan, or a part of one, as plain JSON data."""
    if dataclasses.is_dataclass(value):
        members = {
            field.name: to_data(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
        }
        return {"kind": type(value).__name__, **_renamed(members)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [to_data(item) for item in value]
    return value


def _renamed(members: dict[str, Any]) -> dict[str, Any]:
    """An operation's own ``kind`` goes by ``operation``."""
    return {("operation" if name == "kind" else name): value for name, value in members.items()}


@cache
def _hints(class_: Any) -> dict[str, Any]:
    return typing.get_type_hints(class_)


def _decode(data: Any, hint: Any) -> Any:
    if isinstance(data, dict):
        class_ = _CLASSES[data["kind"]]
        hints = _hints(class_)
        members = {("kind" if name == "operation" else name): value for name, value in data.items() if name != "kind"}
        return class_(**{name: _decode(value, hints[name]) for name, value in members.items()})
    if isinstance(data, list):
        origin, inner = _sequence(hint)
        return origin(_decode(item, inner(index)) for index, item in enumerate(data))
    return data


def _sequence(hint: Any) -> tuple[Any, Any]:
    """The sequence type behind a hint (perhaps optional), and the hint of its items by index."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    arguments = typing.get_args(hint)
    many = len(arguments) < 2 or arguments[1] is Ellipsis
    return typing.get_origin(hint), lambda index: arguments[0] if many else arguments[index]
