"""Saying why a field cannot be had: a query that asks for it, and what is missing on every way to it."""

from __future__ import annotations

from collections.abc import Sequence

from router.composition.reachability import Nodes, Reachability
from router.query_graph.model import Node, Want
from router.supergraph.model import FieldDefinition, Supergraph, TypeDefinition

_EXAMPLES = {"Int": "0", "Float": "0.0", "Boolean": "true", "String": '"..."', "ID": '"..."'}


def print_query(
    supergraph: Supergraph, kind: str, path: Sequence[tuple[FieldDefinition, str | None]], leaf: str = "..."
) -> str:
    """A query along the path, one selection a line; a composite end is left open."""
    lines = ["{" if kind == "query" else f"{kind} {{"]
    depth = 1
    for field, on in path:
        if on is not None:
            lines.append(f"{'  ' * depth}... on {on} {{")
            depth += 1
        returned = supergraph.types.get(field.named_type)
        opens = " {" if returned is not None and returned.is_composite else ""
        lines.append(f"{'  ' * depth}{field.name}{_arguments(supergraph, field)}{opens}")
        depth += 1 if opens else 0
    if lines[-1].endswith("{"):
        lines.append(f"{'  ' * depth}{leaf}")
    lines += ["  " * level + "}" for level in range(depth - 1, -1, -1)]
    return "\n".join(lines)


def _arguments(supergraph: Supergraph, field: FieldDefinition) -> str:
    required = [a for a in field.arguments.values() if a.type.endswith("!") and a.default is None]
    text = ", ".join(f"{a.name}: {_example(supergraph, a.type)}" for a in required)
    return f"({text})" if text else ""


def _example(supergraph: Supergraph, type_: str) -> str:
    if type_.startswith("["):
        return "[]"
    name = type_.rstrip("!")
    definition = supergraph.types.get(name)
    if definition is not None and definition.kind == "enum":
        return next(iter(definition.values))
    if definition is not None and definition.kind == "input":
        return "{}"
    return _EXAMPLES.get(name, '"..."')


def explain(reach: Reachability, type_: TypeDefinition, field: FieldDefinition, places: Nodes) -> list[str]:
    """Per subgraph, as a list: those at hand lack the field, those that have it cannot be got to."""
    here = sorted({node.subgraph for node in places})
    reasons = []
    for subgraph in here:
        node = next(node for node in places if node.subgraph == subgraph)
        edge = reach.graph.field(node, field.name)
        if edge is None:
            reasons.append(f'- in subgraph "{subgraph}", field "{type_.name}.{field.name}" cannot be resolved')
        else:
            wants = " ".join(map(str, edge.requires))
            reasons.append(f'- in subgraph "{subgraph}", "{type_.name}.{field.name}" requires "{wants}"')
            reasons += _missing(reach, edge.requires, places)
    owners = [join.subgraph for join in field.joins.values() if join.resolvable(reach.graph.labels)]
    for subgraph in sorted(set(owners) - set(here)):
        reasons += _why_not(reach, type_, subgraph, field, places)
    return reasons


def _why_not(
    reach: Reachability, type_: TypeDefinition, subgraph: str, field: FieldDefinition, places: Nodes
) -> list[str]:
    where = f'- subgraph "{subgraph}", which has "{type_.name}.{field.name}", cannot be reached'
    join = type_.joins.get(subgraph)
    keys = [key for key in join.keys if key.resolvable] if join is not None else []
    if not keys:
        return [f'{where}: type "{type_.name}" has no resolvable @key there']
    reasons = []
    for key in keys:
        reasons.append(f'{where} by @key(fields: "{key.fields}")')
        wants = reach.graph.field_set(Node(subgraph, type_.name), key.fields)
        reasons += _missing(reach, wants, places)
    return reasons


def _missing(reach: Reachability, wants: tuple[Want, ...], places: Nodes) -> list[str]:
    here = ", ".join(sorted({f'"{node.subgraph}"' for node in places}))
    lacking = [want for want in wants if not reach.has_all((want,), places)]
    return [f'  - "{want}" cannot be had from {here}' for want in lacking]
