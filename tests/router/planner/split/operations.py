"""Random valid operations over an API schema."""

from __future__ import annotations

from random import Random

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
)

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


class OperationMaker:
    """Draws operations; aliases are numbered, so that fields never conflict by accident."""

    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        self.schema = schema
        self.random = random
        self.aliases = 0

    def make(self) -> str:
        assert self.schema.query_type
        return self.selection_set(self.schema.query_type, 4)

    def selection_set(self, parent: Composite, depth: int) -> str:
        parts = [self.typename()] if self.random.random() < 0.3 else []
        if not isinstance(parent, GraphQLUnionType):
            names = sorted(parent.fields)
            for name in self.random.sample(names, self.random.randint(1, min(4, len(names)))):
                parts += self.field(name, parent.fields[name], depth)
        if isinstance(parent, GraphQLUnionType | GraphQLInterfaceType):
            for option in sorted(self.schema.get_possible_types(parent), key=lambda t: t.name):
                if self.random.random() < 0.7:
                    parts.append(f"... on {option.name} {self.selection_set(option, depth)}")
        self.random.shuffle(parts)
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def typename(self) -> str:
        return "__typename" if self.random.random() < 0.7 else f"{self.alias()}: __typename"

    def alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}"

    def field(self, name: str, definition: GraphQLField, depth: int) -> list[str]:
        inner = get_named_type(definition.type)
        label = f"{self.alias()}: {name}" if self.random.random() < 0.25 else name
        if definition.args:
            label = f'{self.alias()}: {name}(tag: "{self.random.choice("xyq")}")'
        if not isinstance(inner, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
            return [label]
        return [f"{label} {self.selection_set(inner, depth - 1)}"] if depth else []
