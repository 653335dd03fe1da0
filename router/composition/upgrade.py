"""Reading Federation 1 subgraphs as Federation 2 ones.

Source: "Moving to Federation 2", "Backward compatibility". In version 1 every field of a value type is shared, key
fields of extensions are marked @external though they are resolved, and much may be marked that means nothing. Only
Federation 1 subgraphs are changed; what the others declare is looked at to know which types are shared.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphql import GraphQLSyntaxError
from graphql.language import FieldNode, SelectionNode, SelectionSetNode, StringValueNode, print_ast

from router.composition.field_sets import field_set_text, lenient_field_set_text, parse_field_set, selected
from router.composition.model import Directive, Field, Report, Subgraph, TypeDefinition, base_type
from router.composition.spec import FEDERATION_1
from router.composition.usage import key_fields, used_fields
from router.errors import CompositionErrorCode as Code

_ROOTS = frozenset({"Query", "Mutation", "Subscription"})


def upgrade(subgraphs: Sequence[Subgraph], report: Report) -> None:
    """Change Federation 1 subgraphs in place."""
    old = [subgraph for subgraph in subgraphs if subgraph.version == FEDERATION_1]
    for subgraph in old:
        _read_leniently(subgraph)
        _clean_directives(subgraph)
    for subgraph in old:
        _settle_extensions(subgraph, subgraphs)
        _clean_keys(subgraph)
        _clean_field_sets(subgraph)
        _drop_unused_externals(subgraph, report)
        subgraph.index()
    for subgraph in old:
        _share_value_types(subgraph, subgraphs)


def _read_leniently(subgraph: Subgraph) -> None:
    """Field sets may be lists of strings or enum literals."""
    applied = [d for element in subgraph.elements() for d in element.directives if d.feature == "federation"]
    for directive in applied:
        if directive.name in ("key", "requires", "provides"):
            text = lenient_field_set_text(directive.arguments.get("fields"))
            if text is not None:
                directive.arguments["fields"] = StringValueNode(value=text, block=False)


def _clean_directives(subgraph: Subgraph) -> None:
    """Directives on interfaces, and @provides on leaves, never had an effect."""
    composite = {type_.name for type_ in subgraph.types.values() if type_.kind in ("object", "interface", "union")}
    for type_ in subgraph.types.values():
        if type_.kind == "interface":
            type_.drop("key")
        for field in type_.fields.values():
            if type_.kind == "interface":
                for name in ("external", "requires", "provides"):
                    field.drop(name)
            if base_type(field.type) not in composite:
                field.drop("provides")
        if type_.name in _ROOTS:
            for field in type_.fields.values():
                field.drop("external")


def _settle_extensions(subgraph: Subgraph, subgraphs: Sequence[Subgraph]) -> None:
    """Version 2 knows no owner of a type: an extension of another subgraph's type is a definition like any other."""
    for type_ in subgraph.types.values():
        extends = type_.is_extension or type_.has("extends")
        if extends and type_.kind == "object" and type_.name not in _ROOTS:
            others = [o.types[type_.name] for o in subgraphs if o is not subgraph and type_.name in o.types]
            if any(not other.is_extension and not other.has("extends") for other in others):
                _resolve_key_fields(type_)
                type_.is_extension = False
            else:
                type_.is_extension = True


def _resolve_key_fields(type_: TypeDefinition) -> None:
    """Only the key's own fields: what lies below them may well be another subgraph's."""
    for key in type_.applied("key"):
        text = field_set_text(key)
        for node in _parsed(text).selections or () if text is not None else ():
            if isinstance(node, FieldNode) and (field := type_.fields.get(node.name.value)) is not None:
                field.drop("external")


def _parsed(text: str) -> SelectionSetNode:
    try:
        return parse_field_set(text)
    except GraphQLSyntaxError:
        return SelectionSetNode(selections=())


def _clean_keys(subgraph: Subgraph) -> None:
    """On a type of its own, a subgraph resolves the fields of its keys."""
    for type_ in subgraph.types.values():
        _resolve_key_fields(type_)


def _clean_field_sets(subgraph: Subgraph) -> None:
    """Requiring or providing what the subgraph resolves anyway was allowed, and meant nothing."""
    for type_, field in subgraph.fields():
        for name in ("requires", "provides"):
            target = type_ if name == "requires" else subgraph.types.get(base_type(field.type))
            for directive in field.applied(name):
                text = field_set_text(directive)
                if text is None or target is None or not (nodes := _parsed(text).selections):
                    continue
                kept = [node for node in nodes if _selects_external(subgraph, target, node)]
                if not kept:
                    field.drop(name)
                elif len(kept) < len(nodes):
                    value = " ".join(print_ast(node) for node in kept)
                    directive.arguments["fields"] = StringValueNode(value=value, block=False)


def _selects_external(subgraph: Subgraph, type_: TypeDefinition, node: SelectionNode) -> bool:
    """Whether some field on the way is external; a selection that makes no sense is left for the rules to judge."""
    found = list(selected(subgraph, type_, SelectionSetNode(selections=(node,))))
    return not found or any(field.has("external") for _, field, _ in found)


def _drop_unused_externals(subgraph: Subgraph, report: Report) -> None:
    used = used_fields(subgraph)
    for type_ in list(subgraph.types.values()):
        unused = [
            name for name, field in type_.fields.items() if field.has("external") and (type_.name, name) not in used
        ]
        if unused and len(unused) == len(type_.fields):
            message = f'Type "{type_.name}" has only @external fields, and nothing in "{subgraph.name}" uses them.'
            report.error(Code.TYPE_WITH_ONLY_UNUSED_EXTERNAL, message, (subgraph, type_))
            continue
        for name in unused:
            del type_.fields[name]


def _share_value_types(subgraph: Subgraph, subgraphs: Sequence[Subgraph]) -> None:
    keys = key_fields(subgraph)
    others = [other for other in subgraphs if other is not subgraph]
    for type_ in subgraph.types.values():
        if type_.kind != "object" or type_.has("interfaceObject"):
            continue
        for field in type_.fields.values():
            if field.has("shareable") or field.has("external") or (type_.name, field.name) in keys:
                continue
            if type_.name == "Subscription":
                continue
            if type_.has("key"):
                if not _has_field(type_, field, others):
                    continue
            elif not any(type_.name in other.types for other in others):
                continue
            field.directives.append(Directive("shareable", feature="federation"))


def _has_field(type_: TypeDefinition, field: Field, others: Sequence[Subgraph]) -> bool:
    """Whether another subgraph has this field of an entity."""
    return any(type_.name in other.types and field.name in other.types[type_.name].fields for other in others)
