"""Within one request, entity parts for the same objects become one part."""

from __future__ import annotations

from router.planner.fetch_graph import Entity, FetchGraph, merge_fields


def merge_siblings(fetches: FetchGraph) -> None:
    """Join entity parts of the same paths and type, unless they would send different data under one name."""
    for group in fetches.groups:
        kept: list[Entity] = []
        for entity in group.entities:
            if not any(_absorb(other, entity) for other in kept):
                kept.append(entity)
        group.entities = kept


def _absorb(mine: Entity, other: Entity) -> bool:
    if mine.contexts or (mine.paths, mine.type, mine.typename) != (other.paths, other.type, other.typename):
        return False
    fields = merge_fields(mine.fields, other.fields)
    if fields is None:
        return False
    mine.fields = fields
    mine.tree.merge(other.tree)
    return True
