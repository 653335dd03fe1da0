"""Interfaces ask for the authorization that their implementations ask for, all together.

Whoever selects through the interface may get any implementation, so no implementation can be let through by it.
"""

from __future__ import annotations

from router.composition.merge_context import MergeContext
from router.composition.merge_directives import merge_directives
from router.composition.model import Directive, Element, Subgraph, TypeDefinition

_AUTH = ("authenticated", "requiresScopes", "policy")


def propagate_auth(context: MergeContext, types: dict[str, TypeDefinition]) -> None:
    """Put requirements on the interfaces of the merged schema."""
    for interface in types.values():
        if interface.kind != "interface":
            continue
        implementations = [t for t in types.values() if t.kind == "object" and interface.name in t.interfaces]
        interface.directives += _together(context, interface.name, list(implementations))
        for field in interface.fields.values():
            own = [t.fields[field.name] for t in implementations if field.name in t.fields]
            field.directives += _together(context, f"{interface.name}.{field.name}", list(own))


def _together(context: MergeContext, where: str, elements: list[Element]) -> list[Directive]:
    source = context.subgraphs[0]
    holders: list[tuple[Subgraph, Element]] = [
        (source, Element(e.name, directives=[d for name in _AUTH for d in e.applied(name)])) for e in elements
    ]
    return merge_directives(context, f'Interface element "{where}"', holders)
