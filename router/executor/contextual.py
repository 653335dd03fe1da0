"""Entity fetches with values from above the entities (``@fromContext``): one request for each set of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from router.executor.paths import Object, walk_located
from router.executor.representations import Targets, compile_collect
from router.query_plan.nodes import ContextValue, EntityFetch, RepresentationField

Values = tuple[tuple[str, Any], ...]
"""Each context's variable and value."""

Part = tuple[dict[str, Any], list[Object], Targets]
"""The values of one request, what is sent, and where the answers go."""


class ContextCollect:
    """How to gather the representations of an entity fetch that has contexts."""

    def __init__(self, entities: EntityFetch) -> None:
        self._contexts = entities.contexts
        above = sum(len(context.path) for context in entities.contexts)
        below = replace(entities, paths=(entities.paths[0][above:],), contexts=())
        self._collect = compile_collect(below)

    def __call__(self, data: Object) -> list[Part]:
        """The parts of the fetch, in the order their values were met."""
        parts: dict[str, Part] = {}
        for holder, values in _holders(data, self._contexts, ()):
            sent, targets = self._collect(holder)
            if sent:
                _, all_sent, all_targets = parts.setdefault(repr(values), (dict(values), [], []))
                all_sent.extend(sent)
                all_targets.extend(targets)
        return list(parts.values())


def _holders(data: Object, contexts: tuple[ContextValue, ...], values: Values) -> Iterator[tuple[Object, Values]]:
    """The innermost objects that hold a value, with the values on the way there."""
    if not contexts:
        yield data, values
        return
    context, *rest = contexts
    for found, _ in walk_located(data, context.path):
        yield from _holders(found, tuple(rest), (*values, (context.variable, _read(found, context.fields))))


def _read(holder: Object, fields: tuple[RepresentationField, ...]) -> Any:
    """The first of the fields that is there, down to its leaf."""
    for field in fields:
        value = holder.get(field.key)
        for selection in field.selections:
            value = _read_below(value, selection.fields)
        if value is not None:
            return value
    return None


def _read_below(value: Any, fields: tuple[RepresentationField, ...]) -> Any:
    if isinstance(value, list):
        return [_read_below(item, fields) for item in value]
    return _read(value, fields) if isinstance(value, dict) else None
