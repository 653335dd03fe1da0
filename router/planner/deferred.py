"""``@defer``: parts of the answer that follow the first one (GraphQL incremental delivery)."""

from __future__ import annotations

from router.planner.fetch_graph import FetchGraph
from router.planner.intake import Crossing, Deferral, Intake
from router.planner.linearize import Variables, linearize
from router.planner.shape import make_shape
from router.query_plan.nodes import Defer, DeferredNode, Items, Key, OnTypes, Path, PathSegment, PlanNode


def add_deferred(intake: Intake, fetches: FetchGraph, variables: Variables) -> PlanNode | None:
    """The plan of a fetch graph with its deferred parts, those within others inside them."""
    return _part(intake, fetches, variables, None)


def _part(intake: Intake, fetches: FetchGraph, variables: Variables, scope: int | None) -> PlanNode | None:
    node = linearize(fetches, variables, scope)
    inner = [number for number in sorted(fetches.deferred) if intake.deferrals[number].parent == scope]
    if not inner:
        return node
    return Defer(node, tuple(_deferred(intake, fetches, variables, number) for number in inner))


def _deferred(intake: Intake, fetches: FetchGraph, variables: Variables, number: int) -> DeferredNode:
    deferral = intake.deferrals[number]
    assert deferral.entries is not None
    needed = set(fetches.deferred[number])
    for group in fetches.groups:
        if group.scope == number:
            needed |= group.parents
    return DeferredNode(
        label=deferral.label,
        path=_path(intake, deferral, number),
        depends=tuple(sorted(group.id for group in needed if group.scope != number)),
        node=_part(intake, fetches, variables, number),
        shape=make_shape(intake, deferral.entries, number),
    )


def _path(intake: Intake, deferral: Deferral, number: int) -> Path:
    """The way to the objects of a deferred part, by data keys."""
    path: list[PathSegment] = []
    for crossing in deferral.trail:
        path += _only(intake, crossing.parent, crossing.types)
        path += _steps(crossing)
    entries = deferral.entries
    assert entries is not None
    path += _only(intake, entries.type, frozenset().union(*(entry.types for entry in entries.of(number))))
    return tuple(path)


def _only(intake: Intake, type_name: str, types: frozenset[str]) -> list[PathSegment]:
    """A step to the objects of these types, where there can be others."""
    if not intake.supergraph.types[type_name].is_abstract or types >= intake.visible[type_name]:
        return []
    return [OnTypes(types)]


def _steps(crossing: Crossing) -> list[PathSegment]:
    key = next((key for name, key in sorted(crossing.slot.type_keys.items()) if name in crossing.types), None)
    return [Key(key or crossing.slot.key), *(Items() for _ in range(crossing.type.count("[")))]
