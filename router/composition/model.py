"""What composition works on: one subgraph's schema in linked form, and the merged schema it becomes.

The same element classes serve both. Types of fields and arguments are GraphQL source (``[User!]!``). Directives
defined by a linked specification carry that specification's name in ``feature`` and their own name there in ``name``,
whatever the subgraph imported them as; the subgraph's own directives have no feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from graphql.language import DirectiveDefinitionNode, Node, ValueNode

from router.errors import CompositionError, CompositionErrorCode, CompositionHint, Place

Kind = Literal["scalar", "object", "interface", "union", "enum", "input"]
ROOT_TYPES = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}
BUILT_IN_SCALARS = frozenset({"Int", "Float", "String", "Boolean", "ID"})


@dataclass(frozen=True, slots=True)
class SubgraphInput:
    """One subgraph as its owner publishes it."""

    name: str
    url: str
    sdl: str


@dataclass(frozen=True, slots=True)
class CompositionResult:
    """``supergraph_sdl`` is None exactly when there are errors."""

    supergraph_sdl: str | None
    errors: list[CompositionError]
    hints: list[CompositionHint]


@dataclass(slots=True)
class Directive:
    """One application of a directive."""

    name: str
    arguments: dict[str, ValueNode] = field(default_factory=dict)
    feature: str = ""
    node: Node | None = None
    block: int = 0
    """Which declaration of its type it stands on: definition and extensions count up."""


@dataclass(slots=True)
class Element:
    """What every named part of a schema has."""

    name: str
    description: str | None = None
    directives: list[Directive] = field(default_factory=list)
    node: Node | None = None

    def applied(self, name: str, feature: str = "federation") -> list[Directive]:
        """The applications of one specified directive, in document order."""
        return [d for d in self.directives if d.name == name and d.feature == feature]

    def has(self, name: str, feature: str = "federation") -> bool:
        """Whether a specified directive is applied here."""
        return any(d.name == name and d.feature == feature for d in self.directives)

    def drop(self, name: str) -> None:
        """Take off every application of one federation directive."""
        self.directives = [d for d in self.directives if d.name != name or d.feature != "federation"]


@dataclass(slots=True)
class InputValue(Element):
    """An argument or an input field."""

    type: str = ""
    default: ValueNode | None = None

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.type.endswith("!") and self.default is None


@dataclass(slots=True)
class Field(Element):
    """An output field."""

    type: str = ""
    arguments: dict[str, InputValue] = field(default_factory=dict)


@dataclass(slots=True)
class EnumValue(Element):
    """One value of an enum."""


@dataclass(slots=True)
class TypeDefinition(Element):
    """A named type. Which of the members is filled depends on its kind; dicts keep document order."""

    kind: Kind = "object"
    fields: dict[str, Field] = field(default_factory=dict)
    inputs: dict[str, InputValue] = field(default_factory=dict)
    values: dict[str, EnumValue] = field(default_factory=dict)
    interfaces: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    is_extension: bool = False
    blocks: int = 0
    """How many declarations it has in the document."""

    @property
    def is_composite(self) -> bool:
        """Whether it has fields to select."""
        return self.kind in ("object", "interface")


@dataclass(frozen=True, slots=True)
class Link:
    """One linked specification: ``imports`` maps the name used here to the name in the specification."""

    identity: str
    name: str
    version: tuple[int, int]
    namespace: str
    imports: dict[str, str]
    node: Node | None = None

    @property
    def url(self) -> str:
        """The specification's address with its version."""
        return f"{self.identity}/v{self.version[0]}.{self.version[1]}"


@dataclass(slots=True)
class Subgraph:
    """A subgraph after linking: root types are called Query, Mutation and Subscription."""

    name: str
    url: str
    types: dict[str, TypeDefinition]
    schema_directives: list[Directive]
    directive_definitions: dict[str, DirectiveDefinitionNode]
    links: list[Link]
    version: tuple[int, int]
    """Federation version; (1, 0) for a schema without a federation link."""
    directive_names: dict[str, str] = field(default_factory=dict)
    """Federation directive -> its name here."""
    custom_directives: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Directive of another linked specification, by its name here -> (specification, name there)."""
    enum_value: str = ""
    """Its name in ``join__Graph``."""
    external_in_effect: set[tuple[str, str]] = field(default_factory=set)
    """Coordinates of the fields that this subgraph cannot resolve by itself."""
    implementations: dict[str, set[str]] = field(default_factory=dict)
    """The object types of each interface and union."""

    def fields(self) -> Iterator[tuple[TypeDefinition, Field]]:
        """Every output field with its type."""
        for type_ in self.types.values():
            for field_ in type_.fields.values():
                yield type_, field_

    def elements(self) -> Iterator[Element]:
        """Everything in the schema that can carry directives, except the schema itself."""
        for type_ in self.types.values():
            yield type_
            yield from type_.inputs.values()
            yield from type_.values.values()
            for field_ in type_.fields.values():
                yield field_
                yield from field_.arguments.values()

    def applied_directives(self) -> set[str]:
        """Names of the federation directives in use."""
        every = [d for element in self.elements() for d in element.directives] + self.schema_directives
        return {directive.name for directive in every if directive.feature == "federation"}

    def possible_types(self, name: str) -> set[str]:
        """The object types a value of this type can have at run time."""
        return self.implementations.get(name, {name})

    def index(self) -> None:
        """Recompute what is derived from the types; call after changing them."""
        self.implementations = {}
        for type_ in self.types.values():
            if type_.kind in ("interface", "union"):
                self.implementations.setdefault(type_.name, set()).update(type_.members)
            elif type_.kind == "object":
                for interface in type_.interfaces:
                    self.implementations.setdefault(interface, set()).add(type_.name)


@dataclass(slots=True)
class Report:
    """Where every step of composition puts what it finds."""

    errors: list[CompositionError] = field(default_factory=list)
    hints: list[CompositionHint] = field(default_factory=list)

    def error(
        self, code: CompositionErrorCode, message: str, *where: tuple[Subgraph, Element | Directive | None]
    ) -> None:
        """Record an error at elements of subgraphs."""
        self.errors.append(CompositionError(code, message, _names(where), _places(where)))

    def hint(self, code: str, message: str, *where: tuple[Subgraph, Element | Directive | None]) -> None:
        """Record a hint at elements of subgraphs."""
        self.hints.append(CompositionHint(code, message, _names(where), _places(where)))


def place_of(subgraph: str, node: Node | None) -> tuple[Place, ...]:
    """Where a syntax node stands, if it stands anywhere (generated nodes do not)."""
    if node is None or node.loc is None:
        return ()
    token = node.loc.start_token
    if (description := getattr(node, "name", None)) is not None and description.loc is not None:
        token = description.loc.start_token
    return (Place(subgraph, token.line, token.column),)


def _names(where: Sequence[tuple[Subgraph, Element | Directive | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subgraph.name for subgraph, _ in where))


def _places(where: Sequence[tuple[Subgraph, Element | Directive | None]]) -> tuple[Place, ...]:
    return tuple(place for subgraph, element in where if element for place in place_of(subgraph.name, element.node))


def base_type(type_: str) -> str:
    """The named type inside lists and non-null."""
    return type_.strip("[]!")


def is_list(type_: str) -> bool:
    """Whether it is a list, nullable or not."""
    return type_.startswith("[")
