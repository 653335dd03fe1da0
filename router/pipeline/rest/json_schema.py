"""JSON Schema (2020-12) of GraphQL types: inputs whole, outputs as far as an operation selects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLOutputType,
    GraphQLScalarType,
    SelectionSetNode,
    is_required_input_field,
)

from router.operation.variables import MAX_INT, MIN_INT
from router.pipeline.rest.selections import Selections

Schema = dict[str, Any]

BUILT_IN: Mapping[str, Schema] = {
    "Int": {"type": "integer", "format": "int32", "minimum": MIN_INT, "maximum": MAX_INT},
    "Float": {"type": "number", "format": "double"},
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "ID": {"type": "string"},
}


class Schemas:
    """Makes schemas; those with a name (enums, inputs, own scalars, fragments) go to ``components`` once."""

    def __init__(self, scalars: Mapping[str, Mapping[str, Any]]) -> None:
        self.components: dict[str, Schema] = {}
        self._scalars = scalars

    def input(self, type_: GraphQLInputType) -> Schema:
        """The schema of an input type."""
        if isinstance(type_, GraphQLNonNull):
            return self._input(type_.of_type)
        return _nullable(self._input(type_))

    def output(
        self, type_: GraphQLOutputType, sets: Sequence[SelectionSetNode], selections: Selections, *, null: bool = True
    ) -> Schema:
        """The schema of what is selected of an output type; ``null`` false: the value itself is never null."""
        if isinstance(type_, GraphQLNonNull):
            return self._output(type_.of_type, sets, selections)
        schema = self._output(type_, sets, selections)
        return _nullable(schema) if null else schema

    def _input(self, type_: GraphQLInputType) -> Schema:
        if isinstance(type_, GraphQLList):
            return {"type": "array", "items": self.input(type_.of_type)}
        if isinstance(type_, GraphQLInputObjectType):
            if type_.name not in self.components:
                self.components[type_.name] = {}  # it may contain itself
                self.components[type_.name] = self._input_object(type_)
            return _reference(type_.name)
        return self._leaf(type_)

    def _input_object(self, type_: GraphQLInputObjectType) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {name: self.input(field.type) for name, field in type_.fields.items()},
            "additionalProperties": False,
        }
        if required := [name for name, field in type_.fields.items() if is_required_input_field(field)]:
            schema["required"] = required
        if type_.is_one_of:
            schema |= {"minProperties": 1, "maxProperties": 1}
        return schema

    def _output(self, type_: GraphQLOutputType, sets: Sequence[SelectionSetNode], selections: Selections) -> Schema:
        if isinstance(type_, GraphQLList):
            return {"type": "array", "items": self.output(type_.of_type, sets, selections)}
        if not sets:
            return self._leaf(type_)
        name = selections.sole_fragment(sets)
        if name is None:
            return self._object(type_, sets, selections)
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._object(type_, sets, selections)
        return _reference(name)

    def _object(self, type_: Any, sets: Sequence[SelectionSetNode], selections: Selections) -> Schema:
        assert isinstance(type_, GraphQLNamedType)
        found = selections.fields(type_, sets)
        properties = {
            key: {"type": "string"} if one.type is None else self.output(one.type, one.below, selections)
            for key, one in found.items()
        }
        schema: Schema = {"type": "object", "properties": properties}
        if certain := [key for key, one in found.items() if one.certain]:
            schema["required"] = certain
        return schema

    def _leaf(self, type_: Any) -> Schema:
        if type_.name in BUILT_IN:
            return dict(BUILT_IN[type_.name])
        if isinstance(type_, GraphQLEnumType):
            self.components.setdefault(type_.name, {"type": "string", "enum": list(type_.values)})
        elif isinstance(type_, GraphQLScalarType):
            self.components.setdefault(type_.name, dict(self._scalars.get(type_.name, {})))
        return _reference(type_.name)


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: Schema) -> Schema:
    if isinstance(kind := schema.get("type"), str):
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
