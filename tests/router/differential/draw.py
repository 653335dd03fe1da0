"""Random worlds: types split over subgraphs by the rules of Federation.

Most of what is drawn composes; the few worlds that no router could serve are refused by composition and passed over.
"""

from __future__ import annotations

from random import Random

from tests.router.differential.blueprint import AbstractSpec, FieldSpec, Key, ObjectSpec, Override, World
from tests.router.differential.field_sets import draw_provided, draw_required

KEYS = ("id", "id", "id", "code", "id code", "org { oid }", "org { oid } code")
ARGUMENTS = (
    "(x: Int = 3)",
    "(x: Int!)",
    '(text: String = "q", x: Int)',
    "(filter: Filter)",
    "(color: Color, list: [Int!])",
)
SCALAR_TYPES = ("String", "String", "String", "Int", "Float", "Boolean", "ID", "Color", "Shade")


def draw_world(random: Random) -> World:
    """A random world."""
    return _Draw(random).world


class _Draw:
    """The steps, in the order in which they depend on each other."""

    def __init__(self, random: Random) -> None:
        self.random = random
        count = random.choice((2, 2, 3, 3, 4, 5))
        self.world = World([f"s{index}" for index in range(count)])
        self.numbers: dict[str, int] = {}
        self._enums()
        self._entities()
        self._values()
        self._abstract_types()
        for spec in [*self.entities, *self.values]:
            self._fields(spec)
        self._object_interface()
        self._requires_and_provides()
        self._roots()
        self._complete_values()
        self._ghosts()

    # --- chances ----------------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, options: list[str], most: int) -> list[str]:
        """One to ``most`` of the options, in their order."""
        chosen = self.random.sample(options, self.random.randint(1, min(most, len(options))))
        return [option for option in options if option in chosen]

    def name(self, prefix: str) -> str:
        self.numbers[prefix] = self.numbers.get(prefix, -1) + 1
        return f"{prefix}{self.numbers[prefix]}"

    # --- types ------------------------------------------------------------------------------------------------------

    @property
    def entities(self) -> list[ObjectSpec]:
        return [spec for spec in self.world.objects.values() if spec.keys]

    @property
    def values(self) -> list[ObjectSpec]:
        return [spec for spec in self.world.objects.values() if spec.name.startswith("V")]

    def _enums(self) -> None:
        more = ["DARK", "LIGHT", "HIDDEN"]
        for subgraph in self.world.subgraphs:
            self.world.shades[subgraph] = ["PLAIN", *(self.some(more, 3) if self.chance(0.5) else [])]

    def _entities(self) -> None:
        for index in range(self.random.randint(2, 4)):
            spec = self.world.objects[f"E{index}"] = ObjectSpec(f"E{index}")
            pool = [self.random.choice(KEYS) for _ in range(self.random.randint(1, 2))]
            for subgraph in self.some(self.world.subgraphs, 5):
                chosen = dict.fromkeys(self.random.choice(pool) for _ in range(self.random.randint(1, 2)))
                spec.keys[subgraph] = [Key(fields) for fields in chosen]
            self._stub(spec)
            self._key_fields(spec)
        if any("org" in key.fields for spec in self.entities for keys in spec.keys.values() for key in keys):
            self._org()

    def _stub(self, spec: ObjectSpec) -> None:
        """One subgraph may only refer to the entity."""
        if len(spec.keys) > 1 and self.chance(0.2):
            for key in spec.keys[self.random.choice(list(spec.keys))]:
                key.resolvable = False

    def _key_fields(self, spec: ObjectSpec) -> None:
        owners: dict[str, list[str]] = {}
        for subgraph, keys in spec.keys.items():
            text = " ".join(key.fields for key in keys)
            for name in ("id", "code", "org"):
                if name in text.split() or (name == "id" and self.chance(0.1)):
                    owners.setdefault(name, []).append(subgraph)
        types = {"id": "ID!", "code": self.random.choice(("ID!", "String!", "Int!")), "org": "Org!"}
        for name, having in owners.items():
            spec.add(FieldSpec(name, types[name], having))

    def _org(self) -> None:
        users = [
            s for s in self.world.subgraphs if any("org" in k.fields for e in self.entities for k in e.keys.get(s, []))
        ]
        org = self.world.objects["Org"] = ObjectSpec("Org")
        org.add(FieldSpec("oid", "ID!", users))
        if self.chance(0.5):
            org.add(FieldSpec("title", "String", users))

    def _values(self) -> None:
        for index in range(self.random.randint(0, 2)):
            spec = self.world.objects[f"V{index}"] = ObjectSpec(f"V{index}")
            for _ in range(self.random.randint(1, 3)):
                spec.add(self._scalar(self.world.subgraphs, most=5))

    def _abstract_types(self) -> None:
        for index in range(self.random.randint(0, 2)):
            self._interface(f"I{index}")
        if self.chance(0.7):
            self._union("U0")

    def _union(self, name: str) -> None:
        union = self.world.unions[name] = AbstractSpec(name)
        for subgraph in self.world.subgraphs:
            known = [spec.name for spec in [*self.entities, *self.values] if spec.known_in(subgraph)]
            if known and self.chance(0.7):
                union.members[subgraph] = self.some(known, 3)
                for member in union.members[subgraph]:
                    self._make_whole(member, subgraph)
        if not union.members:
            del self.world.unions[name]

    def _make_whole(self, member: str, subgraph: str) -> None:
        """A value type behind an abstract type cannot be completed elsewhere."""
        spec = self.world.objects[member]
        for f in spec.fields.values() if not spec.keys else ():
            if subgraph not in f.owners:
                f.owners.append(subgraph)

    def _interface(self, name: str) -> None:
        candidates = [*self.entities, *(self.values if self.chance(0.3) else [])]
        members = [spec for spec in candidates if self.chance(0.7)]
        interface = AbstractSpec(name)
        for subgraph in self.world.subgraphs:
            known = [
                spec.name for spec in members if subgraph in spec.homes() or (not spec.keys and spec.known_in(subgraph))
            ]
            if known and self.chance(0.75):
                interface.members[subgraph] = known if self.chance(0.7) else self.some(known, 3)
        if not interface.members:
            return
        self.world.interfaces[name] = interface
        for _ in range(self.random.randint(1, 2)):
            self._interface_field(interface)
        for subgraph in interface.members:
            if not any(f.declared_in(subgraph) for f in interface.fields.values()):
                self._declare(interface, self.random.choice(list(interface.fields.values())), subgraph)

    def _interface_field(self, interface: AbstractSpec) -> None:
        """A field of the interface: every member has it, each from subgraphs of its own."""
        proto = self._scalar(self.world.subgraphs, most=1)
        proto.owners, proto.strict = [], []
        interface.fields[proto.name] = proto
        exact = self.chance(0.7)
        for member in interface.everyone:
            spec = self.world.objects[member]
            homes = spec.homes() or self.world.subgraphs
            type_ = proto.type if exact or proto.type.endswith("!") or self.chance(0.5) else proto.type + "!"
            spec.add(FieldSpec(proto.name, type_, self.some(homes, 2), proto.arguments))
        for subgraph, members in interface.members.items():
            if all(subgraph in self.world.objects[m].fields[proto.name].owners for m in members) or self.chance(0.3):
                self._declare(interface, proto, subgraph)

    def _declare(self, interface: AbstractSpec, proto: FieldSpec, subgraph: str) -> None:
        proto.owners.append(subgraph)
        for member in interface.members[subgraph]:
            owners = self.world.objects[member].fields[proto.name].owners
            if subgraph not in owners:
                owners.append(subgraph)

    # --- fields -----------------------------------------------------------------------------------------------------

    def _scalar(self, homes: list[str], most: int) -> FieldSpec:
        owners = self.some(homes, most) if self.chance(0.35) else [self.random.choice(homes)]
        type_ = self._wrapped(self.random.choice(SCALAR_TYPES), lists=0.15)
        spec = FieldSpec(self.name("f"), type_, owners)
        if self.chance(0.2):
            spec.arguments = self.random.choice(ARGUMENTS)
        if len(owners) > 1 and not type_.endswith("!") and self.chance(0.2):
            spec.strict = self.some(owners, len(owners) - 1)
        return spec

    def _wrapped(self, name: str, lists: float) -> str:
        if not self.chance(lists):
            return name + ("!" if self.chance(0.15) else "")
        inner = name + ("!" if self.chance(0.3) else "")
        text = f"[{inner}]" if self.chance(0.9) else f"[[{inner}]]"
        return text + ("!" if self.chance(0.3) else "")

    def _fields(self, spec: ObjectSpec) -> None:
        homes = spec.homes() or [s for s in self.world.subgraphs if spec.known_in(s)]
        if spec.keys:
            for _ in range(self.random.randint(1, 4)):
                self._overridden(spec, spec.add(self._scalar(homes, most=3)))
        for _ in range(self.random.randint(0, 3) if spec.keys else self.random.randint(0, 1)):
            reference = self._reference(homes, spec.name)
            if reference is not None:
                self._overridden(spec, spec.add(reference))

    def _overridden(self, spec: ObjectSpec, f: FieldSpec) -> None:
        losers = [s for s in spec.homes() if s not in f.owners and self.world.knows(s, f.inner)]
        if spec.keys and len(f.owners) == 1 and losers and self.chance(0.15) and not self.world.abstract(f.inner):
            f.override = Override(self.random.choice(losers), self.random.choice(("", "", "moving")))

    def _reference(self, homes: list[str], parent: str) -> FieldSpec | None:
        owners = self.some(homes, 2) if self.chance(0.3) else [self.random.choice(homes)]
        targets = [name for name in self._targets(parent) if all(self.world.knows(s, name) for s in owners)]
        if not targets:
            return None
        spec = FieldSpec(self.name("r"), self._wrapped(self.random.choice(targets), lists=0.45), owners)
        if self.chance(0.15):
            spec.arguments = self.random.choice(ARGUMENTS)
        return spec

    def _targets(self, parent: str) -> list[str]:
        """Value types refer only to later ones, so that values end."""
        values = [spec.name for spec in self.values if not parent.startswith("V") or spec.name > parent]
        abstract = [] if parent.startswith("V") else [*self.world.interfaces, *self.world.unions]
        return [*(spec.name for spec in self.entities), *values, *abstract, *abstract]

    def _complete_values(self) -> None:
        """Wherever a value type is returned, one of the owners has each of its fields."""
        for parent in [*self.entities, *self.values, self.world.query, self.world.mutation]:
            for f in parent.fields.values():
                if f.inner.startswith("V") or f.inner == "Org":
                    for member in self.world.objects[f.inner].fields.values():
                        if not set(member.owners) & set(f.owners):
                            member.owners.append(self.random.choice(f.owners))

    # --- what makes it federation -----------------------------------------------------------------------------------

    def _object_interface(self) -> None:
        """A subgraph that adds a field to all members of an interface without knowing them."""
        for interface in self.world.interfaces.values():
            members = [self.world.objects[name] for name in interface.everyone]
            homes = [s for s, names in interface.members.items() if len(names) == len(members)]
            others = [s for s in self.world.subgraphs if not any(m.known_in(s) for m in members)]
            if not homes or len(interface.members) > 1 or not others or not all(m.keys for m in members):
                continue
            if not all(any(k.fields == "id" and k.resolvable for k in m.keys[homes[0]]) for m in members):
                continue
            other = self.random.choice(others)
            interface.key, interface.object_in = "id", other
            interface.fields.setdefault("id", FieldSpec("id", "ID!", [homes[0]])).owners.append(other)
            added = FieldSpec(self.name("added"), "String", [other])
            label = self.random.choice([f for f in interface.fields.values() if f.name != "id"])
            if self.chance(0.4) and not label.arguments:
                label.external.add(other)
                added.requires = label.name
            interface.fields[added.name] = added
            return

    def _requires_and_provides(self) -> None:
        for spec in self.entities:
            for _ in range(self.random.randint(0, 2)):
                owner = self.random.choice(spec.homes()) if spec.homes() else ""
                text = draw_required(self.random, self.world, spec, owner) if owner else ""
                if text:
                    f = spec.add(FieldSpec(self.name("q"), "String", [owner], requires=text))
                    f.arguments = self.random.choice(ARGUMENTS) if self.chance(0.1) else ""
        for spec in self.entities:
            for f in spec.fields.values():
                if f.composite and not f.requires and f.name != "org" and self.chance(0.3):
                    self._provide(f)

    def _provide(self, f: FieldSpec) -> None:
        owner = self.random.choice(f.owners)
        text = draw_provided(self.random, self.world, f.inner, owner)
        if text:
            f.provides[owner] = text

    def _roots(self) -> None:
        query = self.world.query
        for spec in self.entities:
            owners = self.some(list(spec.keys), 2) if self.chance(0.3) else [self.random.choice(list(spec.keys))]
            f = query.add(FieldSpec(f"root{spec.name}", self._wrapped(spec.name, lists=0.5), owners))
            f.arguments = self.random.choice(ARGUMENTS) if self.chance(0.15) else ""
            if self.chance(0.2):
                self._provide(f)
        for subgraph in self.world.subgraphs:
            for name in (*self.world.unions, *self.world.interfaces):
                if self.world.knows(subgraph, name) and self.chance(0.5):
                    f = query.add(FieldSpec(f"root{name}{subgraph}", self._wrapped(name, lists=0.7), [subgraph]))
                    if self.chance(0.2):
                        self._provide(f)
        if self.chance(0.1):
            query.add(FieldSpec("again", "Query!", [self.random.choice(self.world.subgraphs)]))
        if self.chance(0.3):
            for _ in range(3):
                change = self._reference(self.world.subgraphs, "Mutation")
                if change is not None:
                    change.owners = change.owners[:1]
                    self.world.mutation.add(change)

    def _ghosts(self) -> None:
        """A subgraph may not know an entity that others refer to: its fields are then null."""
        used = {i.object_in for i in self.world.interfaces.values()}
        members = {name for i in self.world.interfaces.values() for name in i.everyone}
        for spec in self.entities:
            texts = {s: [key.fields for key in keys] for s, keys in spec.keys.items()}
            if any(keys != ["id"] for keys in texts.values()) or spec.name in members or used - {""}:
                continue
            for subgraph in spec.homes():
                own = [f for f in spec.fields.values() if f.declared_in(subgraph) and f.name != "id"]
                alone = all(f.owners == [subgraph] and not f.type.endswith("!") and not f.override for f in own)
                needed = any(f.external for f in own)
                if own and alone and not needed and len(spec.keys) > 1 and self.chance(0.5):
                    self.world.ghosts.setdefault(subgraph, set()).add(f"{spec.name}-1")
                    break
