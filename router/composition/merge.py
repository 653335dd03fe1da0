"""Merging linked subgraphs into one schema, kind by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphql.language import BooleanValueNode

from router.composition.field_sets import field_set_text
from router.composition.interface_auth import propagate_auth
from router.composition.merge_context import MergeContext, join, merge_description, names
from router.composition.merge_directives import merge_directives
from router.composition.merge_fields import merge_fields
from router.composition.merge_inputs import merge_input_object
from router.composition.merge_members import merge_enum, merge_union
from router.composition.model import (
    Directive,
    Field,
    InputValue,
    Subgraph,
    TypeDefinition,
    base_type,
)
from router.errors import CompositionErrorCode as Code

TypeSources = Sequence[tuple[Subgraph, TypeDefinition]]


@dataclass(slots=True)
class Merged:
    """The supergraph before it is printed."""

    subgraphs: list[Subgraph]
    types: dict[str, TypeDefinition] = field(default_factory=dict)
    schema_directives: list[Directive] = field(default_factory=list)


def name_graphs(subgraphs: Sequence[Subgraph]) -> None:
    """Give each subgraph its unique name in ``join__Graph``."""
    wanted = {subgraph.name: _enum_name(subgraph.name) for subgraph in subgraphs}
    counts = Counter(wanted.values())
    numbers: Counter[str] = Counter()
    for subgraph in subgraphs:
        name = wanted[subgraph.name]
        if counts[name] > 1:
            numbers[name] += 1
            name = f"{name}_{numbers[name]}"
        subgraph.enum_value = name


def _enum_name(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
    if plain[0].isdigit():
        plain = f"_{plain}"
    # A trailing number is how clashing names are told apart.
    return f"{plain}_" if re.search(r"_\d+$", plain) else plain


def prepare(context: MergeContext) -> None:
    """Fill what merging needs to know of all types together."""
    abstract: dict[str, set[str]] = {}
    for subgraph in context.subgraphs:
        for type_ in subgraph.types.values():
            if type_.kind == "union":
                abstract.setdefault(type_.name, set()).update(type_.members)
            for interface in type_.interfaces:
                abstract.setdefault(interface, set()).add(type_.name)
            for value in type_.inputs.values():
                context.input_positions.add(base_type(value.type))
            for output in type_.fields.values():
                context.output_positions.add(base_type(output.type))
                context.input_positions.update(base_type(a.type) for a in output.arguments.values())
    context.abstract = abstract


def merge(context: MergeContext) -> Merged:
    """Merge every type. Errors go to the report; with errors the result is only good for finding more of them."""
    merged = Merged(context.subgraphs)
    type_names = sorted({name for subgraph in context.subgraphs for name in subgraph.types} - context.undefined)
    for name in type_names:
        sources = context.sources(name)
        kinds = {_supergraph_kind(type_) for _, type_ in sources}
        if len(kinds) > 1:
            described = " but ".join(
                f"{kind} in {names(s for s, t in sources if _supergraph_kind(t) == kind)}" for kind in sorted(kinds)
            )
            message = f'Type "{name}" is of different kinds: {described}.'
            context.report.error(Code.TYPE_KIND_MISMATCH, message, *sources)
            continue
        merged.types[name] = _merge_type(context, name, sources)
    _add_interface_object_fields(context, merged)
    propagate_auth(context, merged.types)
    merged.schema_directives = merge_directives(
        context,
        "The schema",
        [(s, TypeDefinition("schema", directives=s.schema_directives)) for s in context.subgraphs],
    )
    return merged


def _supergraph_kind(type_: TypeDefinition) -> str:
    return "interface" if type_.has("interfaceObject") else type_.kind


def _merge_type(context: MergeContext, name: str, sources: TypeSources) -> TypeDefinition:
    place = f'Type "{name}"'
    kind = "interface" if _supergraph_kind(sources[0][1]) == "interface" else sources[0][1].kind
    into = TypeDefinition(name, merge_description(context, place, sources), kind=kind)
    into.directives = merge_directives(context, place, sources)
    for subgraph, type_ in sources:
        into.directives += _join_types(subgraph, type_)
    if kind in ("object", "interface"):
        if name == "Query":
            sources = _everywhere(context, sources, into)
        for subgraph, type_ in sources:
            for interface in type_.interfaces:
                into.directives.append(join("implements", graph=subgraph.enum_value, interface=interface))
                if interface not in into.interfaces:
                    into.interfaces.append(interface)
        merge_fields(context, sources, into)
    elif kind == "union":
        merge_union(context, sources, into)
    elif kind == "enum":
        merge_enum(context, sources, into)
    elif kind == "input":
        merge_input_object(context, sources, into)
    return into


def _everywhere(context: MergeContext, sources: TypeSources, into: TypeDefinition) -> TypeSources:
    """Every subgraph has a query root, if only for ``_service``."""
    present = {subgraph.name: type_ for subgraph, type_ in sources}
    into.directives = [d for d in into.directives if d.name != "join__type"]
    into.directives += [join("type", graph=subgraph.enum_value) for subgraph in context.subgraphs]
    return [(s, present.get(s.name) or TypeDefinition("Query")) for s in context.subgraphs]


def _join_types(subgraph: Subgraph, type_: TypeDefinition) -> list[Directive]:
    is_object = True if type_.has("interfaceObject") else None
    extension = True if type_.is_extension or type_.has("extends") else None
    keys = type_.applied("key")
    if not keys:
        return [join("type", graph=subgraph.enum_value, extension=None, isInterfaceObject=is_object)]
    return [
        join(
            "type",
            graph=subgraph.enum_value,
            key=field_set_text(key),
            extension=extension,
            resolvable=False if _is_false(key) else None,
            isInterfaceObject=is_object,
        )
        for key in keys
    ]


def _is_false(key: Directive) -> bool:
    value = key.arguments.get("resolvable")
    return isinstance(value, BooleanValueNode) and not value.value


def _add_interface_object_fields(context: MergeContext, merged: Merged) -> None:
    """A field that an interface object adds belongs to every implementation, though none of them says so."""
    for interface in [t for t in merged.types.values() if t.kind == "interface"]:
        objects = [s.types[interface.name] for s, t in context.sources(interface.name) if t.has("interfaceObject")]
        added = [name for name in interface.fields if any(name in type_.fields for type_ in objects)]
        for type_ in merged.types.values():
            if type_.kind == "object" and interface.name in type_.interfaces:
                for name in added:
                    if name not in type_.fields:
                        type_.fields[name] = _inherited(interface.fields[name])


def _inherited(source: Field) -> Field:
    return Field(
        source.name,
        source.description,
        [d for d in source.directives if d.feature != "join"] + [join("field")],
        None,
        source.type,
        {
            name: InputValue(name, a.description, list(a.directives), None, a.type, a.default)
            for name, a in source.arguments.items()
        },
    )
