"""What a random graph is made of: types, who resolves which field, and the SDL that follows from it.

A world is described once. From it come the subgraphs' SDL and the SDL of the unsplit schema; after that nothing but
SDL and data is used, so that a case can be kept as a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphql import parse_type
from graphql.language import ListTypeNode, NamedTypeNode, NonNullTypeNode, TypeNode

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.7", import: ["@key", "@shareable", "@external", '
    '"@requires", "@provides", "@override", "@inaccessible", "@interfaceObject"])'
)
SCALARS = ("String", "Int", "Float", "Boolean", "ID", "Color", "Shade")


@dataclass
class Override:
    """The subgraph that a field was taken from, and the label while it moves only for some requests."""

    loser: str
    label: str = ""


@dataclass
class FieldSpec:
    """A field. ``type`` and ``arguments`` are those of the unsplit graph; ``owners`` resolve it.

    ``strict``: owners that declare the type non-null where the others do not. ``provides``: field sets by owner.
    ``external``: the subgraphs that declare it only to name it in a field set.
    """

    name: str
    type: str
    owners: list[str]
    arguments: str = ""
    strict: list[str] = field(default_factory=list)
    requires: str = ""
    provides: dict[str, str] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    override: Override | None = None

    @property
    def inner(self) -> str:
        """The named type."""
        return self.type.strip("[]!").replace("]", "").replace("!", "")

    @property
    def composite(self) -> bool:
        return self.inner not in SCALARS

    def declared_in(self, subgraph: str) -> bool:
        losing = self.override is not None and self.override.loser == subgraph
        return subgraph in self.owners or subgraph in self.external or losing

    def sdl(self, subgraph: str) -> str:
        """The declaration in one subgraph."""
        type_ = self.type + "!" if subgraph in self.strict and not self.type.endswith("!") else self.type
        text = f"{self.name}{self.arguments}: {type_}"
        if subgraph not in self.owners:
            return text + (" @external" if subgraph in self.external else "")
        if len(self.owners) > 1:
            text += " @shareable"
        if self.override:
            label = f', label: "{self.override.label}"' if self.override.label else ""
            text += f' @override(from: "{self.override.loser}"{label})'
        if self.requires:
            text += f" @requires(fields: {quoted(self.requires)})"
        if subgraph in self.provides:
            text += f" @provides(fields: {quoted(self.provides[subgraph])})"
        return text


@dataclass
class Key:
    """A ``@key``."""

    fields: str
    resolvable: bool = True

    def sdl(self) -> str:
        return f'@key(fields: "{self.fields}"' + ("" if self.resolvable else ", resolvable: false") + ")"


@dataclass
class ObjectSpec:
    """An object type. ``keys`` by subgraph for an entity, empty for a value type."""

    name: str
    fields: dict[str, FieldSpec] = field(default_factory=dict)
    keys: dict[str, list[Key]] = field(default_factory=dict)

    def add(self, spec: FieldSpec) -> FieldSpec:
        self.fields[spec.name] = spec
        return spec

    def known_in(self, subgraph: str) -> bool:
        return subgraph in self.keys or any(f.declared_in(subgraph) for f in self.fields.values())

    def homes(self) -> list[str]:
        """The subgraphs that can be asked for fields of this entity."""
        return [name for name, keys in self.keys.items() if any(key.resolvable for key in keys)]


@dataclass
class AbstractSpec:
    """An interface or a union. ``members`` by subgraph; ``fields`` of an interface, and where it declares them."""

    name: str
    members: dict[str, list[str]] = field(default_factory=dict)
    fields: dict[str, FieldSpec] = field(default_factory=dict)
    key: str = ""
    object_in: str = ""
    """The subgraph that sees the interface as an object type."""

    @property
    def everyone(self) -> list[str]:
        return sorted({name for names in self.members.values() for name in names})


@dataclass
class World:
    """Everything about one random graph but its data."""

    subgraphs: list[str]
    objects: dict[str, ObjectSpec] = field(default_factory=dict)
    interfaces: dict[str, AbstractSpec] = field(default_factory=dict)
    unions: dict[str, AbstractSpec] = field(default_factory=dict)
    shades: dict[str, list[str]] = field(default_factory=dict)
    query: ObjectSpec = field(default_factory=lambda: ObjectSpec("Query"))
    mutation: ObjectSpec = field(default_factory=lambda: ObjectSpec("Mutation"))
    ghosts: dict[str, set[str]] = field(default_factory=dict)
    """Per subgraph, ids of entities that it does not know."""

    def abstract(self, name: str) -> AbstractSpec | None:
        return self.interfaces.get(name) or self.unions.get(name)

    def possible(self, name: str, subgraph: str) -> list[str]:
        """The object types a subgraph may return for a type name."""
        spec = self.abstract(name)
        if spec is None:
            return [name]
        return spec.everyone if spec.object_in == subgraph else spec.members.get(subgraph, [])

    def knows(self, subgraph: str, name: str) -> bool:
        spec = self.abstract(name)
        if spec is not None:
            return spec.object_in == subgraph or bool(spec.members.get(subgraph))
        return self.objects[name].known_in(subgraph) if name in self.objects else True

    # --- SDL ------------------------------------------------------------------------------------------------------

    def sdl(self, subgraph: str) -> str:
        """One subgraph."""
        parts = [LINK, INPUTS]
        roots = [f.sdl(subgraph) for f in self.query.fields.values() if subgraph in f.owners]
        parts.append(_block("type Query", [f"ping_{subgraph}: String", *roots]))
        mutations = [f.sdl(subgraph) for f in self.mutation.fields.values() if subgraph in f.owners]
        parts += [_block("type Mutation", mutations)] if mutations else []
        parts += [self._object(subgraph, spec) for spec in self.objects.values() if spec.known_in(subgraph)]
        parts += [
            self._interface(subgraph, spec) for spec in self.interfaces.values() if self.knows(subgraph, spec.name)
        ]
        for union in self.unions.values():
            if union.members.get(subgraph):
                parts.append(f"union {union.name} = {' | '.join(union.members[subgraph])}")
        shades = [f"{v} @inaccessible" if v == "HIDDEN" else v for v in self.shades[subgraph]]
        parts.append(f"enum Shade {{ {' '.join(shades)} }}")
        return "\n".join(parts)

    def _object(self, subgraph: str, spec: ObjectSpec) -> str:
        implemented = [i.name for i in self.interfaces.values() if spec.name in i.members.get(subgraph, [])]
        head = f"type {spec.name}" + (f" implements {' & '.join(implemented)}" if implemented else "")
        head += "".join(f" {key.sdl()}" for key in spec.keys.get(subgraph, []))
        return _block(head, [f.sdl(subgraph) for f in spec.fields.values() if f.declared_in(subgraph)])

    def _interface(self, subgraph: str, spec: AbstractSpec) -> str:
        key = f' @key(fields: "{spec.key}")' if spec.key else ""
        lines = [f.sdl(subgraph) for f in spec.fields.values() if f.declared_in(subgraph)]
        if spec.object_in == subgraph:
            return _block(f"type {spec.name}{key} @interfaceObject", lines)
        plain = [line.split(" @")[0] for line in lines]
        return _block(f"interface {spec.name}{key}", plain)

    def monolith(self) -> str:
        """The unsplit schema."""
        pings = [f"ping_{name}: String" for name in self.subgraphs]
        parts = [INPUTS, _block("type Query", [*pings, *_plain(self.query)])]
        parts += [_block("type Mutation", _plain(self.mutation))] if self.mutation.fields else []
        for spec in self.objects.values():
            names = [i.name for i in self.interfaces.values() if spec.name in i.everyone]
            head = f"type {spec.name}" + (f" implements {' & '.join(names)}" if names else "")
            added = [
                f"{f.name}{f.arguments}: {f.type}"
                for i in self.interfaces.values()
                for f in i.fields.values()
                if i.object_in in f.owners and spec.name in i.everyone and f.name not in spec.fields
            ]
            parts.append(_block(head, [*_plain(spec), *added]))
        parts += [_block(f"interface {i.name}", _plain(i, only_declared=True)) for i in self.interfaces.values()]
        parts += [f"union {union.name} = {' | '.join(union.everyone)}" for union in self.unions.values()]
        shades = sorted({v for values in self.shades.values() for v in values} - {"HIDDEN"})
        parts.append(f"enum Shade {{ {' '.join(shades)} }}")
        return "\n".join(parts)


INPUTS = """enum Color { RED GREEN BLUE }
input Filter { text: String count: Int = 7 color: Color inner: Filter list: [Int] }"""


def nullable(type_: str) -> bool:
    """Whether a type, as GraphQL source, may be null."""
    return not isinstance(parse_type(type_), NonNullTypeNode)


def levels(type_: str) -> TypeNode:
    """A type's syntax tree."""
    node: TypeNode = parse_type(type_)
    assert isinstance(node, ListTypeNode | NamedTypeNode | NonNullTypeNode)
    return node


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(spec: ObjectSpec | AbstractSpec, only_declared: bool = False) -> list[str]:
    fields = [f for f in spec.fields.values() if f.owners or not only_declared]
    return [f"{f.name}{f.arguments}: {f.type}" for f in fields]


def _block(head: str, lines: list[str]) -> str:
    return head + " {\n" + "".join(f"  {line}\n" for line in lines) + "}"
