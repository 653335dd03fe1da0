"""@interfaceObject: an object that stands for an entity interface of other subgraphs.

Source: Federation directive reference, @interfaceObject.
"""

from __future__ import annotations

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.model import Report, Subgraph, TypeDefinition
from router.errors import CompositionErrorCode as Code


def check_interface_object_keys(subgraph: Subgraph, report: Report) -> None:
    """An interface object is an entity, and its subgraph does not know the implementations."""
    for type_ in subgraph.types.values():
        if type_.has("interfaceObject") and not type_.has("key"):
            message = f'Type "{type_.name}" is an @interfaceObject: it needs a @key.'
            report.error(Code.INTERFACE_OBJECT_USAGE_ERROR, message, (subgraph, type_))


def check_interface_objects(context: MergeContext, merged: Merged) -> None:
    """The interface exists somewhere, and its implementations are not where its object is."""
    for interface in merged.types.values():
        sources = context.sources(interface.name)
        objects = [(s, t) for s, t in sources if t.has("interfaceObject")]
        if not objects:
            continue
        interfaces = [(s, t) for s, t in sources if t.kind == "interface"]
        if not interfaces:
            message = f'Type "{interface.name}" is an @interfaceObject in {names(s for s, _ in objects)}, but no'
            context.report.error(
                Code.INTERFACE_OBJECT_USAGE_ERROR, f"{message} subgraph defines that interface.", *objects
            )
            continue
        for subgraph, type_ in objects:
            _check_implementations(context, merged, subgraph, type_)


def _check_implementations(context: MergeContext, merged: Merged, subgraph: Subgraph, type_: TypeDefinition) -> None:
    for name, other in subgraph.types.items():
        supergraph_type = merged.types.get(name)
        if (
            supergraph_type is not None
            and supergraph_type.kind == "object"
            and type_.name in supergraph_type.interfaces
        ):
            message = (
                f'Subgraph "{subgraph.name}" has "{type_.name}" as an @interfaceObject, so it cannot define its'
                f' implementation "{name}".'
            )
            context.report.error(Code.INTERFACE_OBJECT_USAGE_ERROR, message, (subgraph, other))
