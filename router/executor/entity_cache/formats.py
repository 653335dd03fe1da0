"""The tags of ``@cacheTag``: formats that are filled in from an entity's key, or from a root field's arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import ArgumentNode, FieldNode, SelectionSetNode, value_from_ast_untyped

from router.executor.entity_cache.hints import Hints

_PLACE = re.compile(r"\{\$(key|args)\.([A-Za-z0-9_.]+)\}")


@dataclass(frozen=True, slots=True)
class Format:
    """``arguments``: of the root field that has it."""

    text: str
    arguments: tuple[ArgumentNode, ...] = ()


def formats_of_entity(hints: Hints, subgraph: str, type_name: str) -> tuple[Format, ...]:
    """The formats of an entity type."""
    return tuple(Format(text) for text in hints.tags.get((subgraph, type_name), ()))


def formats_of_root(hints: Hints, subgraph: str, type_name: str, selections: SelectionSetNode) -> tuple[Format, ...]:
    """The formats of the root fields that a fetch selects."""
    return tuple(
        Format(text, tuple(field.arguments or ()))
        for field in selections.selections
        if isinstance(field, FieldNode)
        for text in hints.tags.get((subgraph, f"{type_name}.{field.name.value}"), ())
    )


def format_tags(
    formats: Sequence[Format], key: Mapping[str, Any] | None, variables: Mapping[str, Any] | None
) -> list[str] | None:
    """The formats filled in; None if what one of them needs is not there: then nobody could purge the answer."""
    found = []
    for each in formats:
        given = {arg.name.value: value_from_ast_untyped(arg.value, dict(variables or {})) for arg in each.arguments}
        text = _filled(each.text, {"key": key or {}, "args": given})
        if text is None:
            return None
        found.append(text)
    return found


def _filled(format_: str, values: Mapping[str, Any]) -> str | None:
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        value: Any = values[match[1]]
        for name in match[2].split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        missing = missing or not isinstance(value, str | int | float)
        return str(value)

    text = _PLACE.sub(fill, format_)
    return None if missing else text
