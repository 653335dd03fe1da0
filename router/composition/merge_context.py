"""What every merging function needs: the subgraphs, where to report, and small ways to speak of sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from graphql.language import BooleanValueNode, EnumValueNode, StringValueNode, ValueNode

from router.composition.model import Directive, Element, Report, Subgraph, TypeDefinition
from router.composition.type_refs import Abstract

ElementT = TypeVar("ElementT", bound=Element)
Sources = Sequence[tuple[Subgraph, ElementT]]


@dataclass(frozen=True, slots=True)
class Override:
    """That a subgraph's field is taken over: by whom, under which label, and whether its own subgraph still uses it."""

    by: str
    label: str | None
    used: bool


@dataclass(slots=True)
class MergeContext:
    """Read by all merging functions; ``report`` is the only part they change."""

    subgraphs: list[Subgraph]
    report: Report
    abstract: Abstract = field(default_factory=dict)
    input_positions: set[str] = field(default_factory=set)
    output_positions: set[str] = field(default_factory=set)
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Subgraph -> the fields its keys, requirements, provisions and interfaces rest on."""
    overrides: dict[tuple[str, str], dict[str, Override]] = field(default_factory=dict)
    """Field -> subgraph that it is taken from -> how."""
    undefined: set[str] = field(default_factory=set)
    """Types that are extended but nowhere defined."""
    composed: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Specification, custom directive) that @composeDirective carries into the supergraph -> its name there."""

    def sources(self, name: str) -> list[tuple[Subgraph, TypeDefinition]]:
        """The definitions of one type."""
        return [(subgraph, subgraph.types[name]) for subgraph in self.subgraphs if name in subgraph.types]


def join(name: str, **arguments: str | bool | ValueNode | None) -> Directive:
    """A directive of the join specification; None arguments are left out. ``graph`` is an enum value."""
    values: dict[str, ValueNode] = {}
    for key, value in arguments.items():
        if isinstance(value, bool):
            values[key] = BooleanValueNode(value=value)
        elif isinstance(value, str):
            values[key] = EnumValueNode(value=value) if key == "graph" else StringValueNode(value=value, block=False)
        elif value is not None:
            values[key] = value
    return Directive(f"join__{name}", values, "join")


def names(subgraphs: Iterable[Subgraph]) -> str:
    """``"a", "b" and "c"``"""
    quoted = sorted(f'"{subgraph.name}"' for subgraph in subgraphs)
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1] if quoted else "none"


def versions(values: Sequence[tuple[Subgraph, str]]) -> str:
    """``String in subgraphs "a" and "b" but Int in subgraph "c"``: who says what, the most common first."""
    order = [value for value, _ in Counter(value for _, value in values).most_common()]
    return " but ".join(f"{value} in {names(s for s, v in values if v == value)}" for value in order)


def merge_description(context: MergeContext, where: str, sources: Sequence[tuple[Subgraph, Element]]) -> str | None:
    """The most common description; the first of those that tie."""
    given = [(s, e.description.strip()) for s, e in sources if e.description and e.description.strip()]
    if not given:
        return None
    counted = Counter(text for _, text in given)
    if len(counted) > 1:
        context.report.hint(
            "INCONSISTENT_DESCRIPTION",
            f"{where} has different descriptions in {names(s for s, _ in given)}; the most common one is used.",
            *((s, e) for s, e in sources if e.description),
        )
    return counted.most_common(1)[0][0]
