"""Merging directive applications: each directive of the supergraph has one way to combine what subgraphs say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from graphql.language import (
    BooleanValueNode,
    EnumValueNode,
    IntValueNode,
    ListValueNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    print_ast,
)

from router.composition.merge_context import MergeContext, names
from router.composition.model import Directive, Element, Subgraph

BUILT_IN = ("deprecated", "specifiedBy", "oneOf")
Combine = Callable[[Sequence[Directive]], dict[str, ValueNode]]


def merge_directives(context: MergeContext, where: str, sources: Sequence[tuple[Subgraph, Element]]) -> list[Directive]:
    """What the supergraph element carries, given the elements it is merged from."""
    if not any(element.directives for _, element in sources):
        return []
    applied: dict[tuple[str, str], list[tuple[Subgraph, Directive]]] = {}
    for subgraph, element in sources:
        for directive in element.directives:
            applied.setdefault((directive.feature, directive.name), []).append((subgraph, directive))
    result: list[Directive] = []
    for (feature, name), uses in applied.items():
        if feature == "federation" and name == "tag":
            result += _distinct(directive for _, directive in uses)
        elif feature == "federation" and name in _COMBINE:
            result.append(_combined(context, where, name, uses))
        elif feature == "" and name in BUILT_IN:
            result.append(_first(context, where, uses))
        elif (feature, name) in context.composed:
            local = context.composed[feature, name]
            result += [Directive(local, d.arguments) for d in _distinct(directive for _, directive in uses)]
        elif feature == "federation" and name == "cacheTag":
            result += _per_graph(uses)
        elif feature == "federation" and name == "context":
            result += _contexts(uses)
    return sorted(result, key=lambda d: (d.name, _text(d)))


def _text(directive: Directive) -> str:
    return ",".join(f"{name}:{print_ast(value)}" for name, value in sorted(directive.arguments.items()))


def _distinct(directives: Iterable[Directive]) -> list[Directive]:
    return list({_text(d): Directive(d.name, d.arguments, d.feature) for d in directives}.values())


def _per_graph(uses: Sequence[tuple[Subgraph, Directive]]) -> list[Directive]:
    """A directive that the router reads subgraph by subgraph, carried by join__directive."""
    graphs: dict[str, tuple[Directive, list[str]]] = {}
    for subgraph, directive in uses:
        graphs.setdefault(_text(directive), (directive, []))[1].append(subgraph.enum_value)
    return [
        Directive(
            "join__directive",
            {
                "graphs": ListValueNode(values=tuple(EnumValueNode(value=name) for name in dict.fromkeys(holders))),
                "name": StringValueNode(value=f"federation__{directive.name}", block=False),
                "args": ObjectValueNode(
                    fields=tuple(
                        ObjectFieldNode(name=NameNode(value=key), value=value)
                        for key, value in directive.arguments.items()
                    )
                ),
            },
            "join",
        )
        for directive, holders in graphs.values()
    ]


def _contexts(uses: Sequence[tuple[Subgraph, Directive]]) -> list[Directive]:
    """Contexts of different subgraphs are different contexts."""
    return [
        Directive("context", {"name": StringValueNode(value=f"{subgraph.name}__{name.value}", block=False)}, "context")
        for subgraph, directive in uses
        if isinstance(name := directive.arguments.get("name"), StringValueNode)
    ]


def _first(context: MergeContext, where: str, uses: Sequence[tuple[Subgraph, Directive]]) -> Directive:
    distinct = _distinct(directive for _, directive in uses)
    if len(distinct) > 1:
        context.report.hint(
            "INCONSISTENT_NON_REPEATABLE_DIRECTIVE_ARGUMENTS",
            f"@{distinct[0].name} is applied to {where} with different arguments in"
            f" {names(s for s, _ in uses)}; those of the first are used.",
            *uses,
        )
    return distinct[0]


def _combined(context: MergeContext, where: str, name: str, uses: Sequence[tuple[Subgraph, Directive]]) -> Directive:
    distinct = _distinct(directive for _, directive in uses)
    if len(distinct) == 1:
        return distinct[0]
    context.report.hint(
        "MERGED_NON_REPEATABLE_DIRECTIVE_ARGUMENTS",
        f"@{name} is applied to {where} with different arguments in {names(s for s, _ in uses)}; they are merged.",
        *uses,
    )
    return Directive(name, _COMBINE[name](distinct), "federation")


# --- how arguments combine ----------------------------------------------------------------------------------------

Alternatives = frozenset[frozenset[str]]


def alternatives(value: ValueNode | None) -> Alternatives:
    """``[["a", "b"], ["c"]]`` as alternatives of things that are all needed."""
    return frozenset(frozenset(_strings(inner)) for inner in _items(value))


def all_of(groups: Iterable[Alternatives]) -> Alternatives:
    """Every group has to be met: the cross product, without alternatives that ask for more than another one."""
    combined = {frozenset().union(*choice) for choice in product(*groups)}
    return frozenset(c for c in combined if not any(other < c for other in combined))


def alternatives_value(value: Alternatives) -> ValueNode:
    """The literal for alternatives, in a stable order."""
    ordered = sorted(sorted(inner) for inner in value)
    return ListValueNode(values=tuple(_string_list(inner) for inner in ordered))


def _conjunction(argument: str) -> Combine:
    def combine(uses: Sequence[Directive]) -> dict[str, ValueNode]:
        groups = [alternatives(use.arguments.get(argument)) for use in uses]
        return {argument: alternatives_value(all_of(groups))}

    return combine


def _no_arguments(uses: Sequence[Directive]) -> dict[str, ValueNode]:
    return {}


def _cost(uses: Sequence[Directive]) -> dict[str, ValueNode]:
    return {"weight": _largest(use.arguments.get("weight") for use in uses)}


def _list_size(uses: Sequence[Directive]) -> dict[str, ValueNode]:
    merged: dict[str, ValueNode] = {}
    if any("assumedSize" in use.arguments for use in uses):
        merged["assumedSize"] = _largest(use.arguments.get("assumedSize") for use in uses)
    for name in ("slicingArguments", "sizedFields"):
        if any(name in use.arguments for use in uses):
            merged[name] = _string_list(dict.fromkeys(v for use in uses for v in _strings(use.arguments.get(name))))
    if any("requireOneSlicingArgument" in use.arguments for use in uses):
        flags = [use.arguments.get("requireOneSlicingArgument") for use in uses]
        every = all(not isinstance(flag, BooleanValueNode) or flag.value for flag in flags)
        merged["requireOneSlicingArgument"] = BooleanValueNode(value=every)
    return merged


_COMBINE: dict[str, Combine] = {
    "inaccessible": _no_arguments,
    "authenticated": _no_arguments,
    "requiresScopes": _conjunction("scopes"),
    "policy": _conjunction("policies"),
    "cost": _cost,
    "listSize": _list_size,
}


def _items(value: ValueNode | None) -> Sequence[ValueNode]:
    """A list's items; GraphQL coerces a single value to a list of one."""
    if value is None or isinstance(value, NullValueNode):
        return ()
    return value.values or () if isinstance(value, ListValueNode) else (value,)


def _strings(value: ValueNode | None) -> list[str]:
    return [item.value for item in _items(value) if isinstance(item, StringValueNode)]


def _string_list(texts: Iterable[str]) -> ListValueNode:
    return ListValueNode(values=tuple(StringValueNode(value=text, block=False) for text in texts))


def _largest(values: Iterable[ValueNode | None]) -> ValueNode:
    return IntValueNode(value=str(max(int(value.value) for value in values if isinstance(value, IntValueNode))))
