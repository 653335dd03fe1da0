"""Random graphs split over random subgraphs, with the data behind them.

A world is described once: which entity types there are, which subgraph resolves which field, and the data. From it
come the subgraphs' SDL, the subgraphs' resolvers and the resolvers of the unsplit schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.router.planner.support import FEDERATION


@dataclass
class FieldSpec:
    """A field of a type. ``owners`` resolve it; ``kind`` says what it returns."""

    name: str
    kind: str  # scalar, argument, entity, entities, value, union, unions, interface, interfaces, required
    target: str = ""
    owners: list[str] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)
    provides: str = ""
    overridden: str = ""  # a subgraph that still declares the field, though the owner took it over

    @property
    def many(self) -> bool:
        return self.kind in ("entities", "unions", "interfaces", "values")

    def type_source(self) -> str:
        if self.kind in ("scalar", "argument", "required"):
            return "String"
        return f"[{self.target}]" if self.many else self.target

    def declaration(self) -> str:
        arguments = "(tag: String)" if self.kind == "argument" else ""
        return f"{self.name}{arguments}: {self.type_source()}"


@dataclass
class TypeSpec:
    """An entity type. ``keys``: per subgraph that has it, the keys it can be entered by."""

    name: str
    keys: dict[str, list[str]]
    fields: dict[str, FieldSpec]
    labelled: bool = False


@dataclass
class World:
    """Everything about one random graph."""

    subgraphs: list[str]
    types: dict[str, TypeSpec]
    value_fields: dict[str, list[str]]  # per field of value type V, the subgraphs that have it
    unions: dict[str, list[str]]  # per subgraph, the members of union U there
    interfaces: dict[str, list[str]]  # per subgraph, the object types that implement I there
    roots: list[FieldSpec]
    labelled: set[str] = field(default_factory=set)  # the subgraphs whose interface I has the field f0
    object_interface: str = ""  # the subgraph that sees I as an interface object
    store: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    # --- SDL ------------------------------------------------------------------------------------------------------

    def sdl(self, subgraph: str) -> str:
        parts = [FEDERATION, f"type Query {{ ping_{subgraph}: String " + self.root_fields(subgraph) + " }"]
        parts += [self.type_sdl(subgraph, spec) for spec in self.types.values() if subgraph in spec.keys]
        values = [name for name, owners in self.value_fields.items() if subgraph in owners]
        if values:
            parts.append("type V @shareable { " + " ".join(f"{name}: String" for name in values) + " }")
        if self.unions.get(subgraph):
            parts.append("union U = " + " | ".join(self.unions[subgraph]))
        if self.interfaces.get(subgraph):
            key = ' @key(fields: "id")' if self.object_interface else ""
            label = " f0: String" if subgraph in self.labelled else ""
            parts.append(f"interface I{key} {{ id: ID!{label} }}")
        if self.object_interface == subgraph:
            parts.append('type I @key(fields: "id") @interfaceObject { id: ID! added: String }')
        return "\n".join(parts)

    def root_fields(self, subgraph: str) -> str:
        return " ".join(
            f.declaration() + (" @shareable" if len(f.owners) > 1 else "") for f in self.roots if subgraph in f.owners
        )

    def type_sdl(self, subgraph: str, spec: TypeSpec) -> str:
        keys = " ".join(f'@key(fields: "{key}")' for key in spec.keys[subgraph])
        implements = " implements I" if spec.name in self.interfaces.get(subgraph, []) else ""
        fields = {}
        for key in [*" ".join(spec.keys[subgraph]).split(), *(["id"] if implements else [])]:
            fields[key] = f"{key}: ID!"
        for f in spec.fields.values():
            if subgraph in f.owners:
                fields[f.name] = f.declaration() + self.directives(f)
                for name in map(bare, f.requires):
                    fields.setdefault(name, spec.fields[name].declaration() + " @external")
            elif f.overridden == subgraph:
                fields.setdefault(f.name, f.declaration())
        for other in self.types.values():
            for f in (*other.fields.values(), *self.roots):
                if f.provides and f.target == spec.name and subgraph in f.owners:
                    fields.setdefault(f.provides, f"{f.provides}: String @external")
        return f"type {spec.name}{implements} {keys} {{ {' '.join(fields.values())} }}"

    def directives(self, f: FieldSpec) -> str:
        text = " @shareable" if len(f.owners) > 1 else ""
        if f.overridden:
            text += f' @override(from: "{f.overridden}")'
        if f.requires:
            required = " ".join(f.requires).replace('"', '\\"')
            text += f' @requires(fields: "{required}")'
        if f.provides:
            text += f' @provides(fields: "{f.provides}")'
        return text

    # --- data -----------------------------------------------------------------------------------------------------

    def value(self, type_name: str, ident: str, name: str) -> Any:
        """What the unsplit graph holds: a scalar, or (type, id), or a list of those."""
        return self.store[type_name, ident].get(name)

    def required_value(self, f: FieldSpec, read: Any) -> str:
        """What a field with ``@requires`` answers, given how to read what it requires."""
        return f"{f.name}<" + ",".join(told(read(bare(member)), member) for member in f.requires) + ">"


def told(value: Any, member: str) -> str:
    """What a required member's value says: of an object, the members that are asked for."""
    if isinstance(value, list):
        return "[" + ",".join(told(item, member) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}: {value[name]}" for name in member.partition("{")[2].rstrip(" }").split()) + "}"
    return str(value)


def bare(member: str) -> str:
    """The field's name in a member of a required set."""
    return member.split("(")[0].split()[0]


def make_world(random: Random) -> World:
    """A random world whose subgraphs compose: each subgraph can be entered by a key some other one knows."""
    subgraphs = [f"s{index}" for index in range(random.randint(2, 4))]
    names = [f"E{index}" for index in range(random.randint(2, 4))]
    types = {name: TypeSpec(name, _keys(random, subgraphs), {}) for name in names}
    values = {name: random.sample(subgraphs, random.randint(1, len(subgraphs))) for name in ("v0", "v1", "v2")}
    world = World(subgraphs, types, values, {}, {}, [])
    for subgraph in subgraphs:
        members = [name for name in names if subgraph in types[name].keys]
        world.unions[subgraph] = random.sample(members, random.randint(0, len(members)))
    _interface(random, world)
    for spec in types.values():
        _fields(random, world, spec)
    _label(random, world)
    _roots(random, world)
    _data(random, world)
    return world


def _keys(random: Random, subgraphs: list[str]) -> dict[str, list[str]]:
    """Most subgraphs know an entity by id; some by a code only, which then one of the others knows too."""
    here = random.sample(subgraphs, random.randint(1, len(subgraphs)))
    keys = {subgraph: ["id"] for subgraph in here}
    if len(here) > 1 and random.random() < 0.5:
        keys[here[0]] = ["id", "code"]
        for subgraph in here[1:]:
            if random.random() < 0.4:
                keys[subgraph] = [random.choice(["code", "id code"])]
    return keys


def _interface(random: Random, world: World) -> None:
    named = [spec for spec in world.types.values() if all("id" in " ".join(keys) for keys in spec.keys.values())]
    shape = random.random()
    if shape < 0.4:
        for subgraph in world.subgraphs:
            world.interfaces[subgraph] = [spec.name for spec in named if subgraph in spec.keys]
    elif shape < 0.8 and named and len(world.subgraphs) > 1:
        # One subgraph knows all implementations, another adds a field to all of them through an interface object.
        home, other = random.sample(world.subgraphs, 2)
        chosen = [spec for spec in named if home in spec.keys and "id" in spec.keys[home]]
        for spec in chosen:
            spec.keys.pop(other, None)
        if chosen:
            world.interfaces[home] = [spec.name for spec in chosen]
            world.unions[other] = [name for name in world.unions[other] if name not in world.interfaces[home]]
            world.object_interface = other


def _fields(random: Random, world: World, spec: TypeSpec) -> None:
    subgraphs = list(spec.keys)
    for index in range(random.randint(1, 4)):
        owners = random.sample(subgraphs, 1 if random.random() < 0.7 else min(2, len(subgraphs)))
        kind = "scalar" if random.random() < 0.8 else "argument"
        _add(spec, FieldSpec(f"f{index}", kind, owners=owners))
        rest = [subgraph for subgraph in subgraphs if subgraph not in owners]
        if len(owners) == 1 and rest and random.random() < 0.15:
            spec.fields[f"f{index}"].overridden = random.choice(rest)
    scalars = [f for f in spec.fields.values() if f.kind == "scalar"]
    for index in range(random.randint(0, 3)):
        _add(spec, _reference(random, world, f"r{index}", subgraphs))
    if random.random() < 0.4:
        knowing = [s for s in subgraphs if any(s in owners for owners in world.value_fields.values())]
        kind = random.choice(["value", "values"])
        owners = random.sample(knowing, random.randint(1, len(knowing))) if knowing else []
        if all(set(having) & set(owners) for having in world.value_fields.values()):
            _add(spec, FieldSpec("value", kind, "V", owners))
    for index in range(2):
        owner = random.choice(subgraphs)
        foreign = [f for f in [*scalars, *spec.fields.values()] if owner not in f.owners]
        foreign = [f for f in foreign if _requirable(world, f, owner)]
        if foreign and random.random() < 0.7:
            chosen = {f.name: f for f in random.sample(foreign, min(len(foreign), random.randint(1, 2)))}
            requires = [_member(world, f, owner) for f in chosen.values()]
            _add(spec, FieldSpec(f"q{index}", "required", owners=[owner], requires=requires))


def _requirable(world: World, f: FieldSpec, subgraph: str) -> bool:
    if f.kind in ("value", "values"):
        return any(subgraph in having for having in world.value_fields.values())
    return f.kind in ("scalar", "required", "argument") and f.overridden != subgraph


def _member(world: World, f: FieldSpec, subgraph: str) -> str:
    """The field as a member of a required set, as far as the subgraph knows it."""
    if f.kind in ("value", "values"):
        return f"{f.name} {{ {' '.join(n for n, having in world.value_fields.items() if subgraph in having)} }}"
    return f'{f.name}(tag: "q")' if f.kind == "argument" else f.name


def _reference(random: Random, world: World, name: str, subgraphs: list[str]) -> FieldSpec:
    owner = random.choice(subgraphs)
    options: list[tuple[str, str]] = [("entity", ""), ("entities", "")]
    if world.unions.get(owner):
        options += [("union", "U"), ("unions", "U")]
    if world.interfaces.get(owner) or world.object_interface == owner:
        options += [("interface", "I"), ("interfaces", "I")]
    kind, target = random.choice(options)
    if kind in ("entity", "entities"):
        known = [spec for spec in world.types.values() if owner in spec.keys]
        if not known:
            return FieldSpec(name, "scalar", owners=[owner])
        chosen = random.choice(known)
        target = chosen.name
        foreign = [f.name for f in chosen.fields.values() if f.kind == "scalar" and _external(f, owner)]
        provides = random.choice(foreign) if foreign and random.random() < 0.4 else ""
        owners = [owner]
        others = [s for s in subgraphs if s != owner and s in chosen.keys]
        if others and not provides and random.random() < 0.3:
            owners.append(random.choice(others))
        return FieldSpec(name, kind, target, owners, provides=provides)
    return FieldSpec(name, kind, target, [owner])


def _external(f: FieldSpec, subgraph: str) -> bool:
    return subgraph not in f.owners and f.overridden != subgraph


def _label(random: Random, world: World) -> None:
    """Some subgraphs' interface has the field f0, where all its implementations there have it."""
    for subgraph, names in world.interfaces.items():
        fields = [world.types[name].fields.get("f0") for name in names]
        if names and all(f and f.kind == "scalar" and (subgraph in (*f.owners, f.overridden)) for f in fields):
            everywhere = [world.types[n].fields.get("f0") for known in world.interfaces.values() for n in known]
            if all(f and f.kind == "scalar" for f in everywhere) and not world.object_interface:
                world.labelled.add(subgraph)


def _add(spec: TypeSpec, f: FieldSpec) -> None:
    spec.fields[f.name] = f


def _roots(random: Random, world: World) -> None:
    for spec in world.types.values():
        owners = random.sample(list(spec.keys), 1 if random.random() < 0.7 else min(2, len(spec.keys)))
        kind = random.choice(["entity", "entities"])
        world.roots.append(FieldSpec(f"root{spec.name}", kind, spec.name, owners))
    for subgraph in world.subgraphs:
        if world.unions.get(subgraph) and random.random() < 0.6:
            world.roots.append(FieldSpec(f"rootU{subgraph}", "unions", "U", [subgraph]))
        if (world.interfaces.get(subgraph) or world.object_interface == subgraph) and random.random() < 0.7:
            world.roots.append(FieldSpec(f"rootI{subgraph}", "interfaces", "I", [subgraph]))


def _data(random: Random, world: World) -> None:
    idents = [(spec.name, str(number)) for spec in world.types.values() for number in range(2)]
    for type_name, ident in idents:
        world.store[type_name, ident] = {"id": ident, "code": f"code-{type_name}-{ident}"}
    for spec in world.types.values():
        for _, ident in [pair for pair in idents if pair[0] == spec.name]:
            row = world.store[spec.name, ident]
            for f in spec.fields.values():
                row[f.name] = _random_value(random, world, f, idents, f"{spec.name}{ident}.{f.name}")
            row["added"] = f"added-{spec.name}-{ident}"
    world.store["Query", ""] = {f.name: _random_value(random, world, f, idents, f.name) for f in world.roots}
    if world.object_interface:
        _unique_ids(world)


def _unique_ids(world: World) -> None:
    """An interface object is known by id alone: the ids of all implementations must differ."""
    renamed = {(name, ident): (name, f"{name}-{ident}") for name, ident in world.store if name != "Query"}
    store = {}
    for place, row in world.store.items():
        new = {key: _rename(value, renamed) for key, value in row.items()}
        if place in renamed:
            new["id"] = renamed[place][1]
        store[renamed.get(place, place)] = new
    world.store = store


def _rename(value: Any, renamed: dict[tuple[str, str], tuple[str, str]]) -> Any:
    if isinstance(value, list):
        return [_rename(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, tuple) else value


def _random_value(random: Random, world: World, f: FieldSpec, idents: list[tuple[str, str]], label: str) -> Any:
    if f.kind in ("scalar", "argument"):
        return None if random.random() < 0.15 else label
    if f.kind == "required":
        return None
    if f.kind == "value":
        return {name: f"{label}.{name}" for name in world.value_fields}
    if f.kind == "values":
        return [{name: f"{label}.{i}.{name}" for name in world.value_fields} for i in range(random.randint(0, 2))]
    allowed = [f.target]
    if f.target == "U":
        allowed = world.unions[f.owners[0]]
    elif f.target == "I":
        allowed = [name for names in world.interfaces.values() for name in names]
        if world.object_interface != f.owners[0]:
            allowed = world.interfaces[f.owners[0]]
    options = [pair for pair in idents if pair[0] in allowed]
    if f.many:
        return [None if random.random() < 0.1 else random.choice(options) for _ in range(random.randint(0, 3))]
    return None if random.random() < 0.1 else random.choice(options)
