"""Subgraphs and the unsplit schema, from nothing but SDL and rows, executed by graphql-core.

A subgraph sees of an entity only what it is sent, and answers wrongly on purpose where it must not be asked: for
fields that another subgraph took over, and for external fields that are not provided on the way there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    parse,
)
from graphql.execution.values import get_argument_values

from tests.router.differential.data import Row, Rows

MACHINERY = """
scalar _Any
directive @key(fields: String!, resolvable: Boolean) repeatable on OBJECT | INTERFACE
directive @shareable on OBJECT | FIELD_DEFINITION
directive @external on OBJECT | FIELD_DEFINITION
directive @requires(fields: String!) on FIELD_DEFINITION
directive @provides(fields: String!) on FIELD_DEFINITION
directive @interfaceObject on OBJECT
directive @inaccessible on ENUM_VALUE
directive @override(from: String!, label: String) on FIELD_DEFINITION
"""

Read = Callable[[Any, str, dict[str, Any]], Any]


@dataclass
class Thing:
    """An object on its way through resolvers; ``sent`` is its representation, ``provided`` what its parent gives."""

    row: Row
    sent: Row | None = None
    provided: SelectionSetNode | None = None


def field_set(text: str) -> SelectionSetNode:
    """A field set's syntax tree."""
    definition = parse("{" + text + "}").definitions[0]
    assert isinstance(definition, OperationDefinitionNode)
    return definition.selection_set


def directive(node: Any, name: str) -> dict[str, Any] | None:
    """The arguments of a directive, None where it is not applied."""
    for found in (node.directives or ()) if node is not None else ():
        if found.name.value == name:
            return {argument.name.value: getattr(argument.value, "value", None) for argument in found.arguments or ()}
    return None


class Store:
    """The rows, and how arguments change what is read from them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def read(self, row: Row, name: str, arguments: dict[str, Any]) -> Any:
        return self.vary(row.get(name), arguments)

    def vary(self, value: Any, arguments: dict[str, Any]) -> Any:
        """Another value for other arguments; references are replaced by rows."""
        text = json.dumps(arguments, sort_keys=True, default=str) if arguments else ""
        if isinstance(value, list) and value and text:
            turn = crc32(text.encode()) % len(value)
            value = value[turn:] + value[:turn]
        return self._follow(value, text)

    def _follow(self, value: Any, text: str) -> Any:
        if isinstance(value, list):
            return [self._follow(item, text) for item in value]
        if isinstance(value, dict):
            if "@any" in value:
                value = value["@any"][crc32(text.encode()) % len(value["@any"])]
            return self.rows[value["@"]] if "@" in value else value
        return value + text if isinstance(value, str) and "-" in value else value


def things(value: Any, provided: SelectionSetNode | None = None) -> Any:
    """Rows, in lists or not, as objects for resolvers."""
    if isinstance(value, list):
        return [things(item, provided) for item in value]
    return Thing(value, None, provided) if isinstance(value, dict) else value


def extract(schema: GraphQLSchema, type_: Any, selections: SelectionSetNode, value: Any, read: Read) -> Any:
    """What a field set names, read from data that know their types only where the schema does not."""
    if value is None:
        return None
    if isinstance(value, list):
        return [extract(schema, type_, selections, item, read) for item in value]
    named = get_named_type(type_)
    concrete = named.name if isinstance(named, GraphQLObjectType) else value["__typename"]
    found: dict[str, Any] = {}
    for selection in selections.selections:
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition.name.value if selection.type_condition else concrete
            if condition == concrete:
                found |= extract(schema, schema.type_map[concrete], selection.selection_set, value, read)
            continue
        assert isinstance(selection, FieldNode)
        name = selection.name.value
        if name == "__typename":
            continue
        definition = schema.type_map[concrete].fields[name]  # type: ignore[attr-defined]
        inner = read(value, name, get_argument_values(definition, selection))
        if selection.selection_set:
            inner = extract(schema, definition.type, selection.selection_set, inner, read)
        found[name] = inner
    return found


def computed(name: str, arguments: dict[str, Any], required: Any) -> str:
    """The value of a field with ``@requires``: a function of what it requires."""
    return f"{name}{json.dumps(arguments, sort_keys=True, default=str)}<{json.dumps(required, sort_keys=True)}>"


class Monolith:
    """The unsplit schema. It knows of the split only which fields are computed, and who lacks which entity."""

    def __init__(self, sdl: str, subgraphs: dict[str, str], rows: Rows) -> None:
        self.schema = build_schema(sdl)
        self.store = Store(rows)
        self.requires: dict[tuple[str, str], SelectionSetNode] = {}
        self.owners: dict[tuple[str, str], list[str]] = {}
        for name, source in subgraphs.items():
            self._learn(name, parse(source))

    def _learn(self, subgraph: str, document: Any) -> None:
        for node in document.definitions:
            for f in getattr(node, "fields", None) or ():
                if directive(f, "external") is not None or not hasattr(f, "arguments"):
                    continue
                is_object = directive(node, "interfaceObject") is not None
                for type_name in self._concrete(node.name.value) if is_object else [node.name.value]:
                    self.owners.setdefault((type_name, f.name.value), []).append(subgraph)
                    requires = directive(f, "requires")
                    if requires:
                        self.requires[type_name, f.name.value] = field_set(requires["fields"])

    def _concrete(self, name: str) -> list[str]:
        found = self.schema.type_map[name]
        assert isinstance(found, GraphQLInterfaceType)
        return [type_.name for type_ in self.schema.get_possible_types(found)]

    def read(self, row: Row, name: str, arguments: dict[str, Any]) -> Any:
        type_name = row.get("__typename", "")
        if (
            row.get("@unknown")
            and name != "id"
            and self.owners.get((type_name, name)) in [[s] for s in row["@unknown"]]
        ):
            return None
        requires = self.requires.get((type_name, name))
        if requires is None:
            return self.store.read(row, name, arguments)
        return computed(
            name, arguments, extract(self.schema, self.schema.type_map[type_name], requires, row, self.read)
        )

    def resolve(self, parent: Thing | None, info: GraphQLResolveInfo[Any], /, **arguments: Any) -> Any:
        row = parent.row if parent else self.store.rows[info.parent_type.name]
        return things(self.read(row, info.field_name, arguments))


def resolve_type(thing: Thing, info: GraphQLResolveInfo[Any], _type: Any) -> str:
    name: str = thing.row["__typename"]
    if name in info.schema.type_map:
        return name
    # Only _entities asks this: the subgraph knows the entity as an interface object.
    assert thing.sent is not None
    sent: str = thing.sent["__typename"]
    return sent


class Subgraph:
    """One subgraph, with ``_entities``."""

    def __init__(self, name: str, sdl: str, rows: Rows, taken: set[tuple[str, str]], log: list[str]) -> None:
        self.name = name
        self.store = Store(rows)
        self.taken = taken
        self.log = log
        source = sdl.split("\n", 1)[1] if sdl.startswith("extend schema") else sdl
        plain = build_schema(MACHINERY + source)
        self.keys: dict[str, list[SelectionSetNode]] = {}
        for type_ in plain.type_map.values():
            for node in (type_.ast_node.directives or ()) if type_.ast_node else ():
                given = {a.name.value: getattr(a.value, "value", None) for a in node.arguments or ()}
                if node.name.value == "key" and given.get("resolvable") is not False:
                    self.keys.setdefault(type_.name, []).append(field_set(str(given["fields"])))
        objects = [name for name in self.keys if isinstance(plain.type_map[name], GraphQLObjectType)]
        if objects:
            source += f"\nunion _Entity = {' | '.join(objects)}\n"
            source += "extend type Query { _entities(representations: [_Any!]!): [_Entity]! }"
        self.schema = build_schema(MACHINERY + source)

    def resolve(self, parent: Thing | None, info: GraphQLResolveInfo[Any], /, **arguments: Any) -> Any:
        name, type_ = info.field_name, info.parent_type
        if name == "_entities":
            return [self.entity(representation) for representation in arguments["representations"]]
        if type_ is self.schema.mutation_type:
            self.log.append(name)
        row = parent.row if parent else self.store.rows[type_.name]
        node = type_.fields[name].ast_node
        if (type_.name, name) in self.taken:
            return self.wrong(f"{type_.name}.{name} was taken over")
        provided = _provided(parent, type_.name, name)
        if directive(node, "external") is not None and provided is False and not self._is_key(type_.name, name):
            return self.wrong(f"{type_.name}.{name} is external")
        requires = directive(node, "requires")
        if requires:
            assert parent is not None
            if parent.sent is None:
                return self.wrong(f"{type_.name}.{name} without its representation")
            required = extract(self.schema, type_, field_set(requires["fields"]), parent.sent, _sent)
            return computed(name, arguments, required)
        given = directive(node, "provides")
        below = field_set(given["fields"]) if given else provided if isinstance(provided, SelectionSetNode) else None
        return things(self.store.read(row, name, arguments), below)

    def wrong(self, why: str) -> Any:
        raise AssertionError(f"{self.name} must not be asked: {why}")

    def _is_key(self, type_name: str, name: str) -> bool:
        return any(s.name.value == name for key in self.keys.get(type_name, []) for s in key.selections)  # type: ignore[attr-defined]

    def entity(self, representation: Row) -> Thing | None:
        """The object a representation names, by one of this subgraph's keys."""
        typename = representation["__typename"]
        type_ = self.schema.type_map[typename]
        assert typename in self.keys, f"{self.name} cannot enter {representation}"
        for key in self.keys[typename]:
            try:
                wanted = extract(self.schema, type_, key, representation, _sent)
            except KeyError:
                continue
            found = next((row for row in self._candidates(typename) if self._matches(row, type_, key, wanted)), None)
            if found is None or self.name in found.get("@unknown", ()):
                return None
            return Thing(found, representation)
        raise AssertionError(f"{self.name} has no key for {representation}")

    def _candidates(self, typename: str) -> list[Row]:
        type_ = self.schema.type_map[typename]
        if isinstance(type_, GraphQLInterfaceType):
            names = {found.name for found in self.schema.get_possible_types(type_)}
            return [row for row in self.store.rows.values() if row.get("__typename") in names]
        own = [row for row in self.store.rows.values() if row.get("__typename") == typename]
        return own or list(self.store.rows.values())

    def _matches(self, row: Row, type_: Any, key: SelectionSetNode, wanted: Any) -> bool:
        try:
            read = partial(_with_id, self.store)
            found = extract(self.schema, type_, key, {**row, "__typename": type_.name}, read)
        except KeyError:
            return False
        return bool(found == wanted)


def _with_id(store: Store, row: Row, name: str, arguments: dict[str, Any]) -> Any:
    return store.read(row, name, arguments) if name in row else _no_key(name)


def _no_key(name: str) -> Any:
    raise KeyError(name)


def _sent(value: Any, name: str, _arguments: dict[str, Any]) -> Any:
    return value[name]


def _provided(parent: Thing | None, type_name: str, name: str) -> SelectionSetNode | bool:
    """Whether a field is provided on this path: its own field set, True for a leaf, or False."""
    if parent is None or parent.provided is None:
        return False
    sets = [parent.provided]
    while sets:
        for selection in sets.pop().selections:
            if isinstance(selection, InlineFragmentNode):
                if selection.type_condition is None or selection.type_condition.name.value == type_name:
                    sets.append(selection.selection_set)
            elif isinstance(selection, FieldNode) and selection.name.value == name:
                return selection.selection_set or True
    return False
