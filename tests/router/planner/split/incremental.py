"""Deferred answers: putting ``@defer`` into random operations, and the payloads together again."""

from __future__ import annotations

import copy
import re
from random import Random
from typing import Any

from graphql import GraphQLSchema

from tests.router.planner.split.operations import Composite, OperationMaker

DEFER = re.compile(r'@defer\(label: "\d+"\)')


class DeferringMaker(OperationMaker):
    """Draws operations with deferred fragments, each under a label of its own."""

    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        super().__init__(schema, random)
        self.labels = 0

    def selection_set(self, parent: Composite, depth: int) -> str:
        first = super().selection_set(parent, depth)
        if self.random.random() < 0.6:
            return first
        self.labels += 1
        label = self.labels
        later = super().selection_set(parent, depth)
        return f'{first[:-1]} ... on {parent.name} @defer(label: "{label}") {later} }}'


def without_defer(source: str) -> str:
    """The same operation, all at once."""
    return DEFER.sub("", source)


def merged(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer (GraphQL incremental delivery, ``deferSpec=20220824``).

    Raises AssertionError for payloads that a client could not apply: out of order, or to a place that is not there.
    """
    first, *rest = copy.deepcopy(payloads)
    answer: dict[str, Any] = {"data": first["data"], "errors": list(first.get("errors", []))}
    assert first["hasNext"] == bool(rest)
    for index, payload in enumerate(rest):
        assert payload["hasNext"] == (index + 1 < len(rest))
        assert payload.get("incremental") != []
        for part in payload.get("incremental", []):
            place = answer["data"]
            for step in part["path"]:
                place = place[step]
            assert isinstance(place, dict), f"nothing at {part['path']} of {answer}"
            if part["data"] is not None:
                _merge(place, part["data"])
            answer["errors"] += part.get("errors", [])
    if not answer["errors"]:
        del answer["errors"]
    return answer


def _merge(place: dict[str, Any], data: dict[str, Any]) -> None:
    for name, value in data.items():
        known = place.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            assert len(known) == len(value)
            for index, item in enumerate(value):
                if isinstance(known[index], dict) and isinstance(item, dict):
                    _merge(known[index], item)
        else:
            assert known is None or known == value, f"{name} was {known} and is {value}"
            place[name] = value
