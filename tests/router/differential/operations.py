"""Random valid operations over a schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    ast_from_value,
    get_named_type,
    is_required_argument,
    parse,
    print_ast,
    validate,
)

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


@dataclass
class DrawnOperation:
    """A document of one operation, and the variables to send with it."""

    source: str
    variables: dict[str, Any] = field(default_factory=dict)


def draw_operation(random: Random, schema: GraphQLSchema) -> DrawnOperation | None:
    """A valid operation; None if luck had it that none was found."""
    for shared_aliases in (True, True, False):
        drawn = _Draw(random, schema, shared_aliases).operation()
        if not validate(schema, parse(drawn.source)):
            return drawn
    return None


class _Draw:
    """Draws one operation. ``shared_aliases``: fields of one type may meet under one response name."""

    def __init__(self, random: Random, schema: GraphQLSchema, shared_aliases: bool) -> None:
        self.random = random
        self.schema = schema
        self.shared_aliases = shared_aliases
        self.budget = random.choice((5, 10, 20, 40))
        self.definitions: dict[str, str] = {}
        self.variables: dict[str, Any] = {}
        self.fragments: dict[str, list[str]] = {}
        self.printed: list[str] = []
        self.aliases = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def operation(self) -> DrawnOperation:
        kind, root = "query", self.schema.query_type
        if self.schema.mutation_type and self.chance(0.5):
            kind, root = "mutation", self.schema.mutation_type
        assert root
        body = self.selection_set(root, 4)
        heads = ", ".join(f"${name}: {type_}" for name, type_ in self.definitions.items())
        return DrawnOperation(
            "\n".join([f"{kind}{f'({heads})' if heads else ''} {body}", *self.printed]), self.variables
        )

    # --- selections -------------------------------------------------------------------------------------------------

    def selection_set(self, parent: Composite, depth: int) -> str:
        parts = [self.typename()] if self.chance(0.2) else []
        if not isinstance(parent, GraphQLUnionType):
            names = sorted(parent.fields)
            for name in self.random.sample(names, self.random.randint(1, min(4, len(names)))):
                parts += self.field(name, parent.fields[name], depth)
        if isinstance(parent, GraphQLObjectType):
            if self.chance(0.12) and self.budget > 0:
                parts.append(self.fragment(parent, depth))
        else:
            for option in self.conditions(parent):
                if self.budget > 0 and self.chance(0.55):
                    parts.append(self.fragment(option, depth))
        self.random.shuffle(parts)
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def conditions(self, parent: Composite) -> list[Composite]:
        """The types a fragment inside ``parent`` may be on."""
        assert isinstance(parent, GraphQLInterfaceType | GraphQLUnionType)
        possible = set(self.schema.get_possible_types(parent))
        found: list[Composite] = list(possible)
        for type_ in self.schema.type_map.values():
            if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
                found += [type_] if possible & set(self.schema.get_possible_types(type_)) else []
        return sorted(found, key=lambda type_: type_.name)

    def fragment(self, type_: Composite, depth: int) -> str:
        self.budget -= 1
        known = self.fragments.get(type_.name, [])
        if known and self.chance(0.4):
            return f"...{self.random.choice(known)}{self.condition()}"
        body = self.selection_set(type_, depth - 1)
        if self.chance(0.3):
            name = f"F{len(self.printed)}"
            self.fragments.setdefault(type_.name, []).append(name)
            self.printed.append(f"fragment {name} on {type_.name} {body}")
            return f"...{name}{self.condition()}"
        return f"... on {type_.name}{self.condition()} {body}"

    def condition(self) -> str:
        if not self.chance(0.08):
            return ""
        value = self.random.choice(("true", "false", None))
        if value is None:
            value = "$" + self.variable("Boolean!", self.chance(0.5))
        return f" @{self.random.choice(('skip', 'include'))}(if: {value})"

    def typename(self) -> str:
        return "__typename" if self.chance(0.7) else f"{self.alias()}: __typename"

    def alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}"

    def field(self, name: str, definition: GraphQLField, depth: int) -> list[str]:
        inner = get_named_type(definition.type)
        self.budget -= 1
        composite = isinstance(inner, Composite)
        if composite and (depth <= 0 or self.budget <= 0):
            return []
        label = name
        if self.shared_aliases and self.chance(0.15):
            label = f"x{crc32(str(definition.type).encode()) % 1000}: {name}"
        elif definition.args or self.chance(0.1):
            label = f"{self.alias()}: {name}"
        label += self.arguments(definition.args) + self.condition()
        return [f"{label} {self.selection_set(inner, depth - 1)}"] if isinstance(inner, Composite) else [label]

    # --- arguments --------------------------------------------------------------------------------------------------

    def arguments(self, arguments: dict[str, GraphQLArgument]) -> str:
        parts = []
        for name, argument in arguments.items():
            if is_required_argument(argument) or self.chance(0.6):
                parts.append(f"{name}: {self.argument(argument)}")
        return f"({', '.join(parts)})" if parts else ""

    def argument(self, argument: GraphQLArgument) -> str:
        if self.chance(0.35):
            if not isinstance(argument.type, GraphQLNonNull) and self.chance(0.2):
                return "$" + self.variable(str(argument.type), None, sent=False)
            return "$" + self.variable(str(argument.type), self.value(argument.type))
        node = ast_from_value(self.value(argument.type), argument.type)
        return print_ast(node) if node is not None else "null"

    def variable(self, type_: str, value: Any, sent: bool = True) -> str:
        name = f"v{len(self.definitions)}"
        self.definitions[name] = type_
        if sent:
            self.variables[name] = value
        return name

    def value(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self.present(type_.of_type)
        return None if self.chance(0.1) else self.present(type_)

    def present(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLList):
            return [self.value(type_.of_type) for _ in range(self.random.randint(0, 2))]
        if isinstance(type_, GraphQLEnumType):
            return self.random.choice(sorted(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            chosen = {n: f for n, f in type_.fields.items() if self.chance(0.4)}
            return {name: self.value(f.type) for name, f in chosen.items()}
        match type_.name:
            case "Int":
                return self.random.randint(0, 9)
            case "Boolean":
                return self.chance(0.5)
        return self.random.choice(("a", 'b"c', "d\n"))
