"""Interfaces after merging: implementations have all fields; entity interfaces can be resolved everywhere."""

from __future__ import annotations

from graphql.language import BooleanValueNode

from router.composition.field_sets import field_set_text, normalised
from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.model import Subgraph, TypeDefinition
from router.errors import CompositionErrorCode as Code


def check_implementations(context: MergeContext, merged: Merged) -> None:
    """An object that implements an interface in one subgraph needs the fields that another one gives it."""
    for type_ in merged.types.values():
        for interface_name in type_.interfaces:
            interface = merged.types.get(interface_name)
            if interface is None:
                continue
            for field in interface.fields:
                if field not in type_.fields:
                    declaring = [s for s, t in context.sources(interface_name) if field in t.fields]
                    message = (
                        f'Type "{type_.name}" implements "{interface_name}" but has no field "{field}", which the'
                        f" interface has in {names(declaring)}."
                    )
                    context.report.error(Code.INTERFACE_FIELD_NO_IMPLEM, message, *context.sources(type_.name))


def check_entity_interfaces(context: MergeContext, merged: Merged) -> None:
    """A subgraph with a key on an interface knows all implementations, each with that key resolvable."""
    for interface in [t for t in merged.types.values() if t.kind == "interface"]:
        implementations = {
            t.name for t in merged.types.values() if t.kind == "object" and interface.name in t.interfaces
        }
        for subgraph, type_ in context.sources(interface.name):
            if type_.kind == "interface" and (keys := _keys(type_)):
                _check_entity_interface(context, subgraph, type_, keys, implementations)


def _check_entity_interface(
    context: MergeContext, subgraph: Subgraph, type_: TypeDefinition, keys: set[str], implementations: set[str]
) -> None:
    missing = sorted(implementations - subgraph.possible_types(type_.name))
    if missing:
        message = (
            f'Interface "{type_.name}" has a @key in "{subgraph.name}", which does not define all its'
            f" implementations: {', '.join(missing)} missing."
        )
        context.report.error(Code.INTERFACE_KEY_MISSING_IMPLEMENTATION_TYPE, message, (subgraph, type_))
    for name in sorted(implementations & subgraph.types.keys()):
        implementation = subgraph.types[name]
        for key in sorted(keys - _keys(implementation)):
            message = f'Interface "{type_.name}" has @key(fields: "{key}"), its implementation "{name}" has not.'
            context.report.error(Code.INTERFACE_KEY_NOT_ON_IMPLEMENTATION, message, (subgraph, implementation))


def _keys(type_: TypeDefinition) -> set[str]:
    """The resolvable keys, spelt canonically."""
    return {
        normalised(text)
        for key in type_.applied("key")
        if (text := field_set_text(key)) is not None
        and not (isinstance(flag := key.arguments.get("resolvable"), BooleanValueNode) and not flag.value)
    }
