"""Which entity answers may be shared between the places they are merged into.

One answer can serve several places. While all of them are at one path, later fetches treat them alike, and they may
share the answer's objects. Places at different paths can be given different things later: they need copies.
"""

from __future__ import annotations

from collections.abc import Iterator

from router.query_plan.nodes import (
    Defer,
    Fetch,
    OnTypes,
    Parallel,
    Path,
    PathSegment,
    PlanNode,
    Sequence,
    Subscription,
)

Place = tuple[PathSegment, ...]


def isolated_entities(node: PlanNode | None) -> dict[int, frozenset[str]]:
    """By fetch id: the aliases of entity fetches whose answers must be copied for each place."""
    fetches = list(all_fetches(node))
    if any(entities.contexts for fetch in fetches for entities in fetch.entities):
        # What such a fetch brings depends on the objects above: no two places are alike.
        return {fetch.id: frozenset(entities.alias for entities in fetch.entities) for fetch in fetches}
    places = [
        (fetch.id, entities.alias, [_place(path) for path in entities.paths])
        for fetch in fetches
        for entities in fetch.entities
    ]
    found: dict[int, frozenset[str]] = {}
    for fetch_id, alias, own in places:
        if len(set(own)) < 2:
            continue
        others = [place for other, name, theirs in places if (other, name) != (fetch_id, alias) for place in theirs]
        if any(place[: len(mine)] == mine for mine in own for place in others):
            found[fetch_id] = found.get(fetch_id, frozenset()) | {alias}
    return found


def all_fetches(node: PlanNode | None) -> Iterator[Fetch]:
    """Every fetch of a plan, deferred ones too."""
    match node:
        case Fetch():
            yield node
        case Sequence(nodes) | Parallel(nodes):
            for child in nodes:
                yield from all_fetches(child)
        case Defer(primary, deferred):
            yield from all_fetches(primary)
            for part in deferred:
                yield from all_fetches(part.node)
        case Subscription(first, rest):
            yield first
            yield from all_fetches(rest)


def _place(path: Path) -> Place:
    return tuple(segment for segment in path if not isinstance(segment, OnTypes))
