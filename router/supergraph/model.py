"""A supergraph with everything its join directives say, the same whichever version of join wrote it.

Subgraphs are known by their names (``@join__graph(name:)``) everywhere; the graph enum's values stay in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from graphql import DocumentNode

from router.supergraph.spec import Feature

OperationKind = Literal["query", "mutation", "subscription"]
TypeKind = Literal["scalar", "object", "interface", "union", "enum", "input"]


@dataclass(frozen=True, slots=True)
class Subgraph:
    """``graph`` is its value in the graph enum; ``url`` may be empty."""

    name: str
    graph: str
    url: str


@dataclass(frozen=True, slots=True)
class Key:
    """One ``@key``: a field set as source text."""

    fields: str
    resolvable: bool = True


@dataclass(frozen=True, slots=True)
class TypeJoin:
    """What one subgraph says of a type it has."""

    subgraph: str
    keys: tuple[Key, ...] = ()
    is_interface_object: bool = False


@dataclass(frozen=True, slots=True)
class ContextArgument:
    """An argument that the router fills from a parent: ``selection`` on the nearest type that sets ``context``."""

    name: str
    type: str
    context: str
    selection: str


@dataclass(frozen=True, slots=True)
class FieldJoin:
    """What one subgraph says of a field it has. ``type`` is the field's type there, as source text.

    ``overridden``: another subgraph's ``@override`` took the field away, for good. With ``label``, the subgraph
    resolves the field only while the label's activity equals ``label_active``.
    """

    subgraph: str
    type: str
    external: bool = False
    requires: str | None = None
    provides: str | None = None
    overridden: bool = False
    label: str | None = None
    label_active: bool = True
    context_arguments: tuple[ContextArgument, ...] = ()

    def resolvable(self, labels: frozenset[str] = frozenset()) -> bool:
        """Whether the subgraph answers for the field on its own, given the active override labels."""
        if self.external or self.overridden:
            return False
        return self.label is None or (self.label in labels) == self.label_active


@dataclass(frozen=True, slots=True)
class Authorization:
    """``scopes`` and ``policies``: any of the outer list, all of an inner one. Empty outer list: nothing asked."""

    authenticated: bool = False
    scopes: tuple[tuple[str, ...], ...] = ()
    policies: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ArgumentDefinition:
    """``type`` and ``default`` are source text."""

    name: str
    type: str
    default: str | None = None
    inaccessible: bool = False


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of an object or interface type. ``joins`` holds every subgraph that has it, external or not."""

    name: str
    type: str
    arguments: Mapping[str, ArgumentDefinition]
    joins: Mapping[str, FieldJoin]
    inaccessible: bool = False
    authorization: Authorization | None = None

    @property
    def named_type(self) -> str:
        """The type's name without list and non-null marks."""
        return named_type(self.type)


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """One named type. Which of the maps are filled depends on ``kind``; all are keyed as their names say.

    ``interfaces`` and ``members``: per subgraph. ``values``: per enum value, the subgraphs that have it.
    """

    name: str
    kind: TypeKind
    joins: Mapping[str, TypeJoin]
    fields: Mapping[str, FieldDefinition] = field(default_factory=dict)
    interfaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hidden_values: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()
    inaccessible: bool = False
    authorization: Authorization | None = None

    @property
    def is_abstract(self) -> bool:
        """Interfaces and unions."""
        return self.kind in ("interface", "union")

    @property
    def is_composite(self) -> bool:
        """Types that need a selection set."""
        return self.kind in ("object", "interface", "union")

    @property
    def all_interfaces(self) -> frozenset[str]:
        """The interfaces it implements in any subgraph."""
        return frozenset().union(*self.interfaces.values())

    @property
    def all_members(self) -> frozenset[str]:
        """The members it has in any subgraph."""
        return frozenset().union(*self.members.values())


@dataclass(frozen=True)
class Supergraph:
    """A loaded supergraph. ``types`` leaves out the machinery of the linked features."""

    subgraphs: Mapping[str, Subgraph]
    types: Mapping[str, TypeDefinition]
    root_types: Mapping[OperationKind, str]
    features: tuple[Feature, ...]
    document: DocumentNode

    @cached_property
    def possible_types(self) -> Mapping[str, frozenset[str]]:
        """Per composite type its object types, over all subgraphs, hidden ones included."""
        possible: dict[str, set[str]] = {}
        for definition in self.types.values():
            if definition.kind == "object":
                for name in (definition.name, *definition.all_interfaces):
                    possible.setdefault(name, set()).add(definition.name)
            elif definition.kind == "union":
                possible.setdefault(definition.name, set()).update(definition.all_members)
            elif definition.kind == "interface":
                possible.setdefault(definition.name, set())
        return {name: frozenset(types) for name, types in possible.items()}

    def feature(self, name: str) -> Feature | None:
        """The linked feature of that short name, if any."""
        return next((feature for feature in self.features if feature.known and feature.name == name), None)

    def field(self, type_name: str, field_name: str) -> FieldDefinition | None:
        """A field by its coordinate."""
        definition = self.types.get(type_name)
        return definition.fields.get(field_name) if definition else None


def named_type(type_source: str) -> str:
    """The name inside a type's source text: ``[User!]!`` gives ``User``."""
    return type_source.strip("[]!")
