"""The part of an operation that the router answers itself."""

from __future__ import annotations

from collections.abc import Iterator

from router.operation.model import Field, InlineFragment, Operation, Selection
from router.planner.intake import INTROSPECTION_FIELDS


def introspection_part(operation: Operation) -> str | None:
    """The operation's ``__schema`` and ``__type`` fields as an operation of their own, or None if it has none."""
    found = list(_fields(operation.selections))
    if not found:
        return None
    body = " ".join(map(_text, found))
    used = [v for v in operation.variables if f"${v.name}" in body]
    definitions = ", ".join(f"${v.name}: {v.type}" + (f" = {v.default}" if v.default is not None else "") for v in used)
    return f"query{f'({definitions})' if definitions else ''} {{ {body} }}"


def _fields(selections: tuple[Selection, ...]) -> Iterator[Field]:
    """Those of deferred fragments too: their answer is at hand."""
    for selection in selections:
        if isinstance(selection, InlineFragment):
            yield from _fields(selection.selections)
        elif selection.name in INTROSPECTION_FIELDS:
            yield selection


def _text(selection: Selection) -> str:
    inner = f" {{ {' '.join(map(_text, selection.selections))} }}" if selection.selections else ""
    if isinstance(selection, InlineFragment):
        return f"... on {selection.type_condition}{inner}"
    name = selection.name
    alias = "" if selection.response_name == name else f"{selection.response_name}: "
    arguments = ", ".join(f"{a.name}: {a.value}" for a in selection.arguments)
    return f"{alias}{name}{f'({arguments})' if arguments else ''}{inner}"
