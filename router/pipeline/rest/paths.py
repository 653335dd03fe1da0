"""Finds the endpoints of a path: literal segments before parameters (OpenAPI 3.1, "Path Templating Matching")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from router.pipeline.rest.model import Endpoint

PARAMETER = re.compile(r"\{(\w+)\}")


def parameters(path: str) -> tuple[str, ...]:
    """The names of a template's parameters, in order."""
    return tuple(PARAMETER.findall(path))


def shape(path: str) -> str:
    """The template without its parameters' names: two paths of one shape are one path."""
    return PARAMETER.sub("{}", path)


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoints of a path by method, and what its parameters' segments say."""

    endpoints: Mapping[str, Endpoint]
    segments: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """What ``Allow`` says."""
        found = set(self.endpoints) | {"OPTIONS"}
        return tuple(sorted(found | {"HEAD"} if "GET" in found else found))


class Paths:
    """A tree of segments."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._root = _Node()
        for endpoint in endpoints:
            node = self._root
            for segment in endpoint.path.split("/")[1:]:
                if PARAMETER.fullmatch(segment):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.endpoints[endpoint.method] = endpoint

    def find(self, raw_path: str) -> Match | None:
        """The endpoints of a path that is still percent-encoded. An empty segment is no parameter's value."""
        return _find(self._root, raw_path.split("/")[1:], ())


def _find(node: _Node, left: list[str], values: tuple[str, ...]) -> Match | None:
    if not left:
        return Match(node.endpoints, values) if node.endpoints else None
    segment, *rest = left
    following = node.literal.get(segment)
    found = _find(following, rest, values) if following else None
    if found is None and node.parameter is not None and segment:
        found = _find(node.parameter, rest, (*values, unquote(segment, errors="replace")))
    return found
