"""Subgraphs and the unsplit schema of a world, executed by graphql-core."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse, validate

from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from tests.router.planner.split.world import FieldSpec, World

MACHINERY = """
scalar _Any
directive @key(fields: String!, resolvable: Boolean) repeatable on OBJECT | INTERFACE
directive @shareable on OBJECT | FIELD_DEFINITION
directive @external on OBJECT | FIELD_DEFINITION
directive @requires(fields: String!) on FIELD_DEFINITION
directive @provides(fields: String!) on FIELD_DEFINITION
directive @interfaceObject on OBJECT
directive @override(from: String!) on FIELD_DEFINITION
"""


@dataclass
class Thing:
    """An object on its way through a resolver; ``sent`` is its representation, ``provided`` what its parent gives."""

    type: str
    id: str
    typename: str
    sent: dict[str, Any] | None = None
    provided: str = ""


def monolith_resolver(world: World) -> Any:
    """Resolves every field from the data."""

    def read(thing: Thing | None, name: str, tag: str | None) -> Any:
        type_name, ident = (thing.type, thing.id) if thing else ("Query", "")
        specs = world.types[type_name].fields if thing else {f.name: f for f in world.roots}
        f = specs.get(name)
        if f and f.kind == "required":
            assert thing
            return world.required_value(f, lambda inner: read(thing, inner, "q"))
        value = world.value(type_name, ident, name)
        if f and f.kind == "argument" and value is not None:
            return f"{value}[{tag}]"
        return value

    def resolve(parent: Any, info: GraphQLResolveInfo[Any], tag: str | None = None) -> Any:
        if isinstance(parent, dict):
            return parent[info.field_name]
        return _things(read(parent, info.field_name, tag))

    return resolve


def _things(value: Any, typename: str = "", provided: str = "") -> Any:
    if isinstance(value, list):
        return [_things(item, typename, provided) for item in value]
    return Thing(value[0], value[1], typename or value[0], provided=provided) if isinstance(value, tuple) else value


def resolve_type(thing: Thing, _info: GraphQLResolveInfo[Any], _type: Any) -> str:
    return thing.typename


class SubgraphServer:
    """One subgraph of a world. It knows only what is its own, and sees of an entity only what it is sent."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.schema = self._build()
        self.requests = 0
        self.transport = InProcessTransport(self.execute)

    def _build(self) -> GraphQLSchema:
        sdl = re.sub(r"extend schema @link\(.*\)\n", "", self.world.sdl(self.name))
        entities = [n for n, spec in self.world.types.items() if self.name in spec.keys]
        if self.world.object_interface == self.name:
            entities.append("I")
        if not entities:
            return build_schema(MACHINERY + sdl)
        union = f"union _Entity = {' | '.join(entities)}\n"
        extra = "extend type Query { _entities(representations: [_Any!]!): [_Entity]! }\n"
        return build_schema(MACHINERY + sdl + "\n" + union + extra)

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        self.requests += 1
        document = parse(request.query)
        errors = validate(self.schema, document)
        assert not errors, f"{self.name} cannot understand {request.query}: {errors}"
        result = execute_sync(
            self.schema,
            document,
            variable_values=request.variables,
            field_resolver=self.resolve,
            type_resolver=resolve_type,
        )
        assert not result.errors, f"{self.name} failed on {request.query} with {request.variables}: {result.errors}"
        return SubgraphResponse(result.data)

    def resolve(self, parent: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        name = info.field_name
        if name == "_entities":
            return [self.entity(representation) for representation in arguments["representations"]]
        if isinstance(parent, dict):
            return parent[name]
        if parent is None:
            f = next((f for f in self.world.roots if f.name == name), None)
            return self.answer(f, self.world.value("Query", "", name)) if f else None
        f = self.world.types[parent.type].fields.get(name)
        if f is None:
            return self.world.value(parent.type, parent.id, name)
        if f.kind == "required":
            if self.name not in f.owners:
                return f"external {name}"
            assert parent.sent is not None, f"{name} was asked for without what it requires"
            return self.world.required_value(f, lambda inner: parent.sent[inner])
        if self.name not in f.owners and parent.provided != name:
            raise AssertionError(f"{self.name} was asked for external {parent.type}.{name}")
        value = self.world.value(parent.type, parent.id, name)
        if f.kind == "argument" and value is not None:
            return f"{value}[{arguments.get('tag')}]"
        return self.answer(f, value)

    def answer(self, f: FieldSpec, value: Any) -> Any:
        typename = "I" if f.target == "I" and self.world.object_interface == self.name else ""
        return _things(value, typename, f.provides)

    def entity(self, representation: dict[str, Any]) -> Thing:
        """Find the object a representation names, by one of this subgraph's keys."""
        typename = representation["__typename"]
        if typename == "I":
            for (name, ident), row in self.world.store.items():
                if name != "Query" and row["id"] == representation["id"]:
                    if self.world.object_interface != self.name:
                        assert name in self.world.interfaces[self.name]
                        typename = name
                    return Thing(name, ident, typename, representation)
        keys = self.world.types[typename].keys[self.name]
        key = next((key.split() for key in keys if all(part in representation for part in key.split())), None)
        assert key, f"{self.name} has no key for {representation}"
        for (name, ident), row in self.world.store.items():
            if name == typename and all(row[part] == representation[part] for part in key):
                return Thing(name, ident, typename, representation)
        raise AssertionError(f"{self.name} does not know {representation}")
