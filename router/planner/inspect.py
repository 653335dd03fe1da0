"""The planner's stages as text, so that a wrong plan is found at the first stage that goes wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from router.planner.fetch_graph import FetchGraph, FetchGroup
from router.planner.plan import Stages
from router.planner.query_tree import Branch
from router.planner.search import Option
from router.query_graph.build import QueryGraph
from router.query_graph.model import FieldEdge, KeyMove, Node, Want
from router.query_plan.printer import print_path


def describe_graph(graph: QueryGraph) -> dict[str, list[str]]:
    """Every reachable node with its edges: fields, type conditions, moves."""
    return {str(node): list(_edges(graph, node)) for node in graph.reachable()}


def _edges(graph: QueryGraph, node: Node) -> Iterator[str]:
    for name in graph.definition(node).fields:
        edge = graph.field(node, name)
        if edge is not None:
            yield _field(edge)
    if graph.is_abstract(node):
        yield from (f"... on {name}" for name in sorted(graph.possible(node)))
    yield from map(_move, graph.moves(node))


def _field(edge: FieldEdge) -> str:
    target = f" -> {edge.target}" if edge.target else ""
    return f"{edge.name}{target}" + (f" requires {_set(edge.requires)}" if edge.requires else "")


def _move(move: KeyMove) -> str:
    return f"move to {move.target}" + (f" by {_set(move.key)}" if move.key else "")


def _set(wants: Iterable[Want]) -> str:
    return "{ " + " ".join(map(str, wants)) + " }"


def describe_paths(stages: Stages) -> dict[str, list[str]]:
    """For every field of the operation the ways to it from where the best query tree stands, with what they cost."""
    found: dict[str, list[str]] = {}
    for branch in stages.branches():
        _paths(stages, branch, (), found)
    return found


def _paths(stages: Stages, branch: Branch, place: tuple[str, ...], found: dict[str, list[str]]) -> None:
    graph, node = stages.graph, branch.node
    for select in branch.selects:
        here = (*place, select.want.key or select.want.name)
        options = () if graph.is_abstract(node) else stages.search.options(select.want, node)
        found.setdefault(".".join(here), []).extend(_option(node, option) for option in options)
        if select.branch:
            _paths(stages, select.branch, here, found)
    for cast in branch.casts:
        _paths(stages, cast.branch, (*place, f"|[{cast.branch.node.type}]"), found)
    for enter in branch.enters:
        for select in enter.branch.selects:
            field = ".".join((*place, select.want.key or select.want.name))
            options = () if graph.is_abstract(node) else stages.search.options(select.want, node)
            found.setdefault(field, []).extend(_option(node, option) for option in options)
        _paths(stages, enter.branch, place, found)


def _option(node: Node, option: Option) -> str:
    cost = f"{option.cost.requests} fetches, {option.cost.rounds} rounds more"
    if option.place is None:
        return f"at {node}: {cost}"
    move, inputs, _ = option.place
    start = f"from {node} " if node.subgraph else ""
    return f"{start}{_move(move)} sending {_set(inputs)}: {cost}" if inputs else f"{start}{_move(move)}: {cost}"


def describe_fetch_graph(stages: Stages) -> list[dict[str, Any]]:
    """Every fetch of every step, with the fetches it waits for."""
    return [_group(group) for step in stages.steps() for group in _ordered(step.fetches)]


def _ordered(fetches: FetchGraph) -> list[FetchGroup]:
    rounds = fetches.rounds()
    return sorted(fetches.groups, key=lambda group: (rounds[group], group.id))


def _group(group: FetchGroup) -> dict[str, Any]:
    parts = [group.root.text()] if group.root is not None else []
    for entity in group.entities:
        paths = ", ".join(print_path(path) or "(root)" for path in entity.paths)
        sent = " ".join(member.name for member in entity.fields)
        parts.append(f"{paths}: {entity.typename} {{ {sent} }} => ... on {entity.type} {entity.tree.text()}")
    after = sorted(parent.id for parent in group.parents)
    return {"id": group.id, "subgraph": group.subgraph, "after": after, "fetches": parts}
