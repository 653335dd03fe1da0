"""Subgraphs made of SDL and rows, strict about what they may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import graphql
from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    build_ast_schema,
    get_named_type,
    is_composite_type,
    parse,
)
from graphql.language import DocumentNode

from tests.router.conformance.rows import Row, Rows, Store, contains, field_set, has_null, read_set


@dataclass
class Thing:
    """An object on its way through resolvers; ``sent`` is its representation, ``provided`` what its parent gives."""

    row: Row
    typename: str
    sent: Row | None = None
    provided: SelectionSetNode | None = None


def merged_document(sdl: str) -> DocumentNode:
    """The SDL with type extensions folded into definitions, and without the schema's links."""
    parts: dict[str, list[Any]] = {}
    other = []
    for node in parse(sdl, no_location=True).definitions:
        if node.kind in ("schema_definition", "directive_definition"):
            other.append(node)
        elif node.kind != "schema_extension":
            parts.setdefault(node.name.value, []).append(node)  # type: ignore[attr-defined]
    return DocumentNode(definitions=(*other, *(_folded(nodes) for nodes in parts.values())))


def _folded(nodes: list[Any]) -> Any:
    """One definition from a definition and its extensions."""
    kind = getattr(graphql, type(nodes[0]).__name__.replace("Extension", "Definition"))
    members = [key for key in ("fields", "interfaces", "directives", "types", "values") if key in nodes[0].keys]
    lists = {key: tuple(item for node in nodes for item in getattr(node, key, None) or ()) for key in members}
    return kind(name=nodes[0].name, **lists)


def directives(node: Any, name: str) -> list[dict[str, Any]]:
    """The arguments of each application of a federation directive."""
    return [
        {argument.name.value: getattr(argument.value, "value", None) for argument in found.arguments or ()}
        for found in (node.directives or ())
        if found.name.value.removeprefix("federation__") == name
    ]


class MustNotBeAsked(Exception):
    """The router asked a subgraph for what that subgraph cannot know."""


class Subgraph:
    """One subgraph. ``taken`` are the fields that others have taken over, by type and name."""

    def __init__(
        self,
        name: str,
        sdl: str,
        rows: Rows,
        own: Mapping[str, Row | None] | None = None,
        taken: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self.name = name
        self.own_store = Store(rows, own)
        self.all_rows = Store(rows)
        self.taken = taken
        self.v1 = "@link" not in sdl
        document = merged_document(sdl)
        self.keys: dict[str, list[SelectionSetNode]] = {}
        for node in document.definitions:
            for key in directives(node, "key"):
                if key.get("resolvable") is not False:
                    self.keys.setdefault(node.name.value, []).append(field_set(key["fields"]))  # type: ignore[attr-defined]
        self.schema = self._schema(document)

    def _schema(self, document: DocumentNode) -> GraphQLSchema:
        plain = build_ast_schema(document, assume_valid_sdl=True)
        objects = {name for name in self.keys if isinstance(plain.type_map[name], GraphQLObjectType)}
        for name in self.keys:
            type_ = plain.type_map[name]
            if isinstance(type_, GraphQLInterfaceType):
                objects |= {found.name for found in plain.get_possible_types(type_)}
        if not objects:
            return plain
        root = plain.query_type.name if plain.query_type else "Query"
        extra = parse(
            f"scalar _Any union _Entity = {' | '.join(sorted(objects))} "
            f"type {root} {{ _entities(representations: [_Any!]!): [_Entity]! }}"
        ).definitions
        definitions = [
            _folded([node, extra[2]]) if getattr(getattr(node, "name", None), "value", None) == root else node
            for node in document.definitions
        ]
        own = extra[:2] if plain.query_type else extra
        return build_ast_schema(DocumentNode(definitions=(*definitions, *own)), assume_valid_sdl=True)

    # --- resolvers ------------------------------------------------------------------------------------------------

    def resolve(self, parent: Thing | None, info: GraphQLResolveInfo[Any], /, **arguments: Any) -> Any:
        name, type_ = info.field_name, info.parent_type
        if name == "_entities" and type_ is self.schema.query_type:
            return [self.entity(representation) for representation in arguments["representations"]]
        row = parent.row if parent else self.own_store.root(info.operation.operation.value)
        node = type_.fields[name].ast_node
        if (type_.name, name) in self.taken:
            self.refuse(f"{type_.name}.{name} was taken over")
        provided = self._provided(parent, type_, name)
        on_type = bool(directives(type_.ast_node, "external"))
        if (directives(node, "external") or on_type) and provided is False and not self._is_key(type_, name):
            self.refuse(f"{type_.name}.{name} is external")
        for requires in directives(node, "requires"):
            if parent is None or parent.sent is None:
                self.refuse(f"{type_.name}.{name} without its representation")
            else:
                self._check_required(parent, type_, name, field_set(requires["fields"]))
        given = [field_set(each["fields"]) for each in directives(node, "provides")]
        given += [provided] if isinstance(provided, SelectionSetNode) else []
        below = SelectionSetNode(selections=tuple(s for each in given for s in each.selections)) if given else None
        return self._things(self.own_store.read(row, name, arguments), get_named_type(type_.fields[name].type), below)

    def refuse(self, why: str) -> None:
        raise MustNotBeAsked(f"{self.name} must not be asked: {why}")

    def _check_required(self, parent: Thing, type_: GraphQLObjectType, name: str, wanted: SelectionSetNode) -> None:
        row = self.all_rows.rows[self.own_store.names[id(parent.row)]]
        expected = read_set(self.all_rows, self.schema, type_, wanted, row)
        if not contains(parent.sent, expected):
            self.refuse(f"{type_.name}.{name} requires {expected}, sent was {parent.sent}")

    def _things(self, value: Any, type_: Any, provided: SelectionSetNode | None) -> Any:
        if isinstance(value, list):
            return [self._things(item, type_, provided) for item in value]
        if not isinstance(value, dict) or not is_composite_type(type_):
            return value
        typename = type_.name if isinstance(type_, GraphQLObjectType) else value.get("__typename", type_.name)
        return Thing(value, typename, None, provided)

    def _is_key(self, type_: Any, name: str) -> bool:
        names = [type_.name, *(interface.name for interface in type_.interfaces)]
        return any(
            isinstance(selection, FieldNode) and selection.name.value == name
            for type_name in names
            for key in self.keys.get(type_name, [])
            for selection in key.selections
        ) or any(f"{name}" in str(key.get("fields")).split() for key in directives(type_.ast_node, "key"))

    def _provided(self, parent: Thing | None, type_: GraphQLObjectType, name: str) -> SelectionSetNode | bool:
        """Whether a field is provided on this path: its own field set, True for a leaf, or False."""
        sets = [parent.provided] if parent and parent.provided else []
        names = {type_.name, *(interface.name for interface in type_.interfaces)}
        found: list[FieldNode] = []
        while sets:
            for selection in sets.pop().selections:
                if isinstance(selection, InlineFragmentNode):
                    if selection.type_condition is None or selection.type_condition.name.value in names:
                        sets.append(selection.selection_set)
                elif isinstance(selection, FieldNode) and selection.name.value == name:
                    found.append(selection)
        below = [selection for one in found if one.selection_set for selection in one.selection_set.selections]
        return SelectionSetNode(selections=tuple(below)) if below else bool(found)

    def entity(self, representation: Row) -> Thing | None:
        """The object a representation names, by one of this subgraph's keys."""
        typename = representation["__typename"]
        type_ = self.schema.type_map.get(typename)
        if typename not in self.keys:
            self.refuse(f"no entity {representation}")
        for key in self.keys[typename]:
            for name, row in self.all_rows.rows.items():
                if not self._may_be(row, type_):
                    continue
                wanted = read_set(self.all_rows, self.schema, type_, key, row)
                if not contains(representation, wanted):
                    continue
                if name in self.own_store.unknown or has_null(key, wanted):
                    return None
                concrete = typename if isinstance(type_, GraphQLObjectType) else row["__typename"]
                return Thing(self.own_store.rows[name], concrete, representation)
        self.refuse(f"no entity {representation}")
        return None

    def _may_be(self, row: Row, type_: Any) -> bool:
        own = row.get("__typename")
        if own is None:
            return False
        if own == type_.name:
            return True
        if isinstance(type_, GraphQLInterfaceType):
            return own in {found.name for found in self.schema.get_possible_types(type_)}
        return bool(directives(type_.ast_node, "interfaceObject"))


def resolve_type(thing: Thing, _info: GraphQLResolveInfo[Any], _type: Any) -> str:
    return thing.typename


def taken_over(subgraphs: Mapping[str, str], labels: frozenset[str]) -> dict[str, frozenset[tuple[str, str]]]:
    """By subgraph the fields another one has taken over; with an inactive label it is the taker that is not asked."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in subgraphs}
    for name, sdl in subgraphs.items():
        for node in merged_document(sdl).definitions:
            for member in getattr(node, "fields", None) or ():
                for given in directives(member, "override"):
                    label = given.get("label")
                    active = not label or label in labels or label == "percent(100)"
                    found.setdefault(given["from"] if active else name, set()).add((node.name.value, member.name.value))  # type: ignore[attr-defined]
    return {name: frozenset(fields) for name, fields in found.items()}


class Monolith:
    """The unsplit graph: the API schema over the same rows."""

    def __init__(self, schema: GraphQLSchema, rows: Rows) -> None:
        self.schema = schema
        self.store = Store(rows)

    def resolve(self, parent: Thing | None, info: GraphQLResolveInfo[Any], /, **arguments: Any) -> Any:
        row = parent.row if parent else self.store.root(info.operation.operation.value)
        return self._things(self.store.read(row, info.field_name, arguments), get_named_type(info.return_type))

    def _things(self, value: Any, type_: Any) -> Any:
        if isinstance(value, list):
            return [self._things(item, type_) for item in value]
        if not isinstance(value, dict) or not is_composite_type(type_):
            return value
        return Thing(value, value.get("__typename", type_.name))
