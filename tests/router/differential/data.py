"""The data behind a random world: rows of JSON values, by entity id.

A reference to an entity is ``{"@": id}``; an object of a value type is written where it stands, with its
``__typename``. Data are the same whichever subgraph is asked, as the Federation specification demands of shared fields.
"""

from __future__ import annotations

from random import Random
from typing import Any

from graphql.language import ListTypeNode, NamedTypeNode, NonNullTypeNode, TypeNode

from tests.router.differential.blueprint import FieldSpec, ObjectSpec, World, levels

Row = dict[str, Any]
Rows = dict[str, Row]


def draw_rows(random: Random, world: World) -> Rows:
    """Two or three entities of each type, and the roots."""
    return _Rows(random, world).rows


class _Rows:
    def __init__(self, random: Random, world: World) -> None:
        self.random = random
        self.world = world
        self.ids = {
            spec.name: [f"{spec.name}-{number}" for number in range(random.randint(2, 3))]
            for spec in world.objects.values()
            if spec.keys
        }
        self.rows: Rows = {"Query": self._members(world.query, "Query")}
        if world.mutation.fields:
            self.rows["Mutation"] = self._members(world.mutation, "Mutation")
        for name, idents in self.ids.items():
            for number, ident in enumerate(idents):
                self.rows[ident] = self._entity(world.objects[name], ident, number)

    def _entity(self, spec: ObjectSpec, ident: str, number: int) -> Row:
        row = {"__typename": spec.name, **self._members(spec, ident), "id": ident}
        if "code" in spec.fields:
            row["code"] = number if spec.fields["code"].inner == "Int" else f"c{number}"
        if "org" in spec.fields:
            row["org"] = {"__typename": "Org", "oid": f"o{number}", "title": f"org of {ident}"}
        for interface in self.world.interfaces.values():
            if spec.name in interface.everyone:
                for f in interface.fields.values():
                    row.setdefault(f.name, f"{ident}.{f.name}")
        unknown = [s for s, idents in self.world.ghosts.items() if ident in idents]
        if unknown:
            row["@unknown"] = unknown
        return row

    def _members(self, spec: ObjectSpec, place: str) -> Row:
        return {
            f.name: self._value(f, levels(f.type), f"{place}.{f.name}") for f in spec.fields.values() if not f.requires
        }

    def _value(self, f: FieldSpec, type_: TypeNode, place: str, top: bool = True) -> Any:
        if isinstance(type_, NonNullTypeNode):
            return self._present(f, type_.type, place)
        if not (top and f.strict) and self.random.random() < 0.12:
            return None
        return self._present(f, type_, place)

    def _present(self, f: FieldSpec, type_: TypeNode, place: str) -> Any:
        if isinstance(type_, ListTypeNode):
            if f.composite and not self._targets(f):
                return []
            return [self._value(f, type_.type, f"{place}.{i}", top=False) for i in range(self.random.randint(0, 3))]
        assert isinstance(type_, NamedTypeNode)
        return self._object(f, place) if f.composite else self._leaf(f, place)

    def _leaf(self, f: FieldSpec, place: str) -> Any:
        random = self.random
        match f.inner:
            case "Int":
                return random.randint(-5, 1000)
            case "Float":
                return random.randint(-5, 1000) + 0.5
            case "Boolean":
                return random.random() < 0.5
            case "Color":
                return random.choice(("RED", "GREEN", "BLUE"))
            case "Shade":
                shown = set.intersection(*(set(self.world.shades[s]) for s in self._speakers(f)))
                return random.choice(sorted(shown))
        return place

    def _speakers(self, f: FieldSpec) -> list[str]:
        return [*f.owners, *([f.override.loser] if f.override else []), *f.external] or self.world.subgraphs

    def _targets(self, f: FieldSpec) -> list[str]:
        """The object types and entities that all owners of a field may return."""
        owners = [*f.owners, *([f.override.loser] if f.override else [])]
        names = set.intersection(*(set(self.world.possible(f.inner, s)) for s in owners))
        hidden = {ident for s in owners for ident in self.world.ghosts.get(s, ())}
        found = []
        for name in sorted(names):
            found += [ident for ident in self.ids[name] if ident not in hidden] if name in self.ids else [name]
        return found

    def _object(self, f: FieldSpec, place: str) -> Any:
        if f.inner == "Query":
            return {"@": "Query"}
        targets = self._targets(f)
        if not targets:
            return None
        if f.arguments and len(targets) > 1 and all("-" in target for target in targets):
            return {"@any": [{"@": target} for target in self.random.sample(targets, 2)]}
        target = self.random.choice(targets)
        if "-" in target:
            return {"@": target}
        if target == "Org":
            return {"__typename": "Org", "oid": place, "title": place}
        return {"__typename": target, **self._members(self.world.objects[target], place)}
