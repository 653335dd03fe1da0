"""Within one request, entity parts that ask the same of objects at different paths become one part."""

from __future__ import annotations

from router.planner.fetch_graph import Entity, FetchGraph
from router.query_plan.nodes import OnTypes, Path


def deduplicate(fetches: FetchGraph) -> None:
    """Join parts with equal representations and selections; their objects are then deduplicated together."""
    for group in fetches.groups:
        kept: dict[tuple[object, ...], Entity] = {}
        for entity in group.entities:
            identity = (entity.type, entity.typename, entity.fields, entity.tree.text())
            first = kept.setdefault(identity, entity)
            if first is not entity:
                for path in entity.paths:
                    _add_path(first.paths, path)
        group.entities = list(kept.values())


def _add_path(paths: list[Path], path: Path) -> None:
    """Add a path; two that differ only in the type conditions at their ends become one."""
    last = path[-1] if path else None
    for index, other in enumerate(paths):
        if other == path:
            return
        end = other[-1] if other else None
        if isinstance(last, OnTypes) and isinstance(end, OnTypes) and other[:-1] == path[:-1]:
            paths[index] = (*path[:-1], OnTypes(end.types | last.types))
            return
    paths.append(path)
