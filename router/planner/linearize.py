"""From the fetch graph to plan nodes: what can run at once does, what depends waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.operation.model import VariableDefinition
from router.planner.fetch_graph import FetchGraph, FetchGroup
from router.query_plan.nodes import EntityFetch, Fetch, Parallel, PlanNode, Sequence

Variables = Mapping[str, VariableDefinition]


def linearize(fetches: FetchGraph, variables: Variables, scope: int | None = None) -> PlanNode | None:
    """The plan of one part of a fetch graph; None if there is nothing to fetch."""
    groups = [group for group in fetches.groups if group.scope == scope]
    return _order(sorted(groups, key=lambda group: group.id), variables) if groups else None


def _order(groups: list[FetchGroup], variables: Variables) -> PlanNode | None:
    parts = _components(groups)
    if len(parts) > 1:
        return parallel(_order(part, variables) for part in parts)
    first = [group for group in groups if not group.parents.intersection(groups)]
    rest = [group for group in groups if group not in first]
    start = parallel(make_fetch(group, variables) for group in first)
    return sequence([start, _order(rest, variables)]) if rest else start


def _components(groups: list[FetchGroup]) -> list[list[FetchGroup]]:
    """The groups in sets that do not depend on one another, in a stable order."""
    parts: list[list[FetchGroup]] = []
    for group in groups:
        linked = [part for part in parts if any(group in other.parents or other in group.parents for other in part)]
        merged = sorted([*(other for part in linked for other in part), group], key=lambda g: g.id)
        parts = [part for part in parts if part not in linked] + [merged]
    return sorted(parts, key=lambda part: part[0].id)


def sequence(nodes: Iterable[PlanNode | None]) -> PlanNode | None:
    """One after another, without needless nesting."""
    flat: list[PlanNode] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Sequence) else [node] if node else [])
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat)) if flat else None


def parallel(nodes: Iterable[PlanNode | None]) -> PlanNode | None:
    """At once, without needless nesting."""
    flat: list[PlanNode] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Parallel) else [node] if node else [])
    return flat[0] if len(flat) == 1 else Parallel(tuple(flat)) if flat else None


def make_fetch(group: FetchGroup, variables: Variables) -> Fetch:
    """The request of a group, with its operation text."""
    used = list(dict.fromkeys(name for tree in group.trees() for name in tree.variables()))
    prefix = "representations"
    while any(name.startswith(prefix) for name in variables):
        prefix = f"_{prefix}"
    entities = tuple(
        EntityFetch(
            alias="_entities" if len(group.entities) == 1 else f"_entities_{index}",
            variable=prefix if len(group.entities) == 1 else f"{prefix}_{index}",
            paths=tuple(entity.paths),
            representations=entity.representations(),
            contexts=entity.contexts,
        )
        for index, entity in enumerate(group.entities)
    )
    return Fetch(
        id=group.id,
        subgraph=group.subgraph,
        kind=group.kind,
        document=_document(group, entities, [variables[name] for name in used]),
        variables=tuple(used),
        entities=entities,
        path=group.path,
    )


def _document(group: FetchGroup, entities: tuple[EntityFetch, ...], used: list[VariableDefinition]) -> str:
    definitions = [f"${entity.variable}: [_Any!]!" for entity in entities]
    for part in group.entities:
        named = zip(part.contexts, part.context_types, strict=True)
        definitions += [f"${context.variable}: {type_source}" for context, type_source in named]
    for variable in used:
        default = f" = {variable.default}" if variable.default is not None else ""
        definitions.append(f"${variable.name}: {variable.type}{default}")
    head = f"{group.kind}({', '.join(definitions)}) " if definitions else f"{group.kind} "
    if group.root is not None:
        return ("" if head == "query " else head) + group.root.text()
    parts = []
    for part, entity in zip(group.entities, entities, strict=True):
        alias = "" if entity.alias == "_entities" else f"{entity.alias}: "
        parts.append(
            f"{alias}_entities(representations: ${entity.variable}) {{ ... on {part.type} {part.tree.text()} }}"
        )
    return f"{head}{{ {' '.join(parts)} }}"
