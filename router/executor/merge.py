"""Merging a subgraph's answer into the data gathered so far."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def merge_object(target: Object, answer: Object) -> None:
    """Add the members of ``answer`` to ``target``, deeply. What was known is never replaced by null."""
    if target.keys().isdisjoint(answer):
        target.update(answer)
        return
    for key, value in answer.items():
        present = target.get(key)
        if present is None:
            target[key] = value
        elif isinstance(present, dict) and isinstance(value, dict):
            merge_object(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            _merge_lists(present, value)
        elif value is not None:
            target[key] = value


def _merge_lists(present: list[Any], answer: list[Any]) -> None:
    """Two subgraphs' views of one list: item by item, if they agree how long it is."""
    if len(present) != len(answer):
        return
    for index, value in enumerate(answer):
        known = present[index]
        if isinstance(known, dict) and isinstance(value, dict):
            merge_object(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            _merge_lists(known, value)
        elif known is None:
            present[index] = value


def copied(value: Any) -> Any:
    """A copy that shares no object or list with the original."""
    if isinstance(value, dict):
        return {key: copied(member) for key, member in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
