"""Checks one endpoint of a bindings file against its operations and the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    is_input_type,
    is_interface_type,
    parse,
    type_from_ast,
    validate,
)

from router.pipeline.persisted import Manifest
from router.pipeline.rest.model import Argument, Call, Remainder
from router.pipeline.rest.selections import Selections

REMAINDER = "*"
TEXTS = ("ID", "String", "Int", "Float", "Boolean")


class Checker:
    """Collects ``reasons`` why an endpoint cannot be bound."""

    def __init__(self, schema: GraphQLSchema, manifest: Manifest, scalars: Mapping[str, Mapping[str, Any]]) -> None:
        self.reasons: list[str] = []
        self._schema = schema
        self._manifest = manifest
        self._scalars = scalars

    def refuse(self, reason: str) -> None:
        """One more reason."""
        self.reasons.append(reason)

    def call(
        self,
        name: str,
        result: str,
        errors: str | None,
        body: Mapping[str, str],
        places: Mapping[str, Mapping[str, str]],
    ) -> Call | None:
        """The operation with its arguments; None, and reasons, when it cannot be bound."""
        operation = self._manifest.by_name.get(name) or self._manifest.by_id.get(name)
        if operation is None:
            self.refuse(f'the manifest has no operation "{name}".')
            return None
        try:
            document = parse(operation.body)
        except GraphQLError as error:
            self.refuse(f"{name}: {error.message}")
            return None
        if invalid := validate(self._schema, document):
            self.reasons += [f"{name} does not fit the graph: {error.message}" for error in invalid]
            return None
        (definition,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
        if operation.kind == "subscription":
            self.refuse(f"{name} is a subscription.")
        variables = self._variables(definition)
        bound = {**places, "body": {key: value for key, value in body.items() if key != REMAINDER}}
        self._all_bound(name, variables, [*(v for place in bound.values() for v in place.values()), *body.values()])
        arguments = tuple(self._arguments(name, variables, bound))
        remainder = self._remainder(name, variables, body)
        found = Call(operation, document, definition, arguments, remainder, tuple(result.split(".")), _split(errors))
        self._places(found, Selections(self._schema, document))
        return found

    def _variables(self, definition: OperationDefinitionNode) -> dict[str, tuple[GraphQLInputType, bool]]:
        found = {}
        for node in definition.variable_definitions or ():
            type_ = type_from_ast(self._schema, node.type)
            assert is_input_type(type_), "validated before"
            found[node.variable.name.value] = (type_, isinstance(type_, GraphQLNonNull) and not node.default_value)
        return found

    def _all_bound(self, name: str, variables: Mapping[str, Any], bound: list[str]) -> None:
        used = set(bound)
        for variable, (_, required) in variables.items():
            if required and variable not in used:
                self.refuse(f"nothing of the request becomes ${variable} of {name}, which requires it.")

    def _arguments(
        self,
        name: str,
        variables: Mapping[str, tuple[GraphQLInputType, bool]],
        places: Mapping[str, Mapping[str, str]],
    ) -> Iterator[Argument]:
        taken: dict[str, str] = {}
        for place, mapping in places.items():
            for key, variable in mapping.items():
                if variable not in variables:
                    self.refuse(f'{place} "{key}": {name} has no variable ${variable}.')
                    continue
                if variable in taken:
                    self.refuse(f'{place} "{key}": ${variable} of {name} is "{taken[variable]}" already.')
                taken[variable] = key
                type_, required = variables[variable]
                self._check_text(place, key, type_)
                yield Argument(place, key, variable, type_, required or place == "path")  # type: ignore[arg-type]

    def _check_text(self, place: str, key: str, type_: GraphQLInputType) -> None:
        """What is not in a body comes as text: only some types can be read from it."""
        if place == "body":
            return
        inner: Any = get_nullable_type(type_)
        if isinstance(inner, GraphQLList) and place == "query":
            inner = get_nullable_type(inner.of_type)
        if isinstance(inner, GraphQLEnumType) or getattr(inner, "name", None) in TEXTS:
            return
        if isinstance(inner, GraphQLScalarType) and self._scalars.get(inner.name, {}).get("type") == "string":
            return
        self.refuse(f'{place} "{key}": a value of {type_} cannot be read from text.')

    def _remainder(
        self, name: str, variables: Mapping[str, tuple[GraphQLInputType, bool]], body: Mapping[str, str]
    ) -> Remainder | None:
        variable = body.get(REMAINDER)
        if variable is None:
            return None
        if variable not in variables:
            self.refuse(f'body "{REMAINDER}": {name} has no variable ${variable}.')
            return None
        type_, required = variables[variable]
        inner = get_nullable_type(type_)
        if not isinstance(inner, GraphQLInputObjectType) or inner.is_one_of:
            self.refuse(f'body "{REMAINDER}": ${variable} of {name} is not an input object with fields of its own.')
            return None
        if both := sorted(set(body) & set(inner.fields)):
            self.refuse(f"body: {', '.join(both)} would be a property and a field of ${variable}.")
        return Remainder(variable, inner, required)

    def _places(self, call: Call, selections: Selections) -> None:
        name = call.operation.name
        found = selections.at(call.definition, call.result)
        if found is None:
            self.refuse(f'{name} selects nothing at "{".".join(call.result)}".')
        if call.errors is None:
            return
        errors = selections.at(call.definition, call.errors)
        type_: Any = get_nullable_type(errors.type) if errors is not None and errors.type is not None else None
        item: Any = get_nullable_type(type_.of_type) if isinstance(type_, GraphQLList) else None
        if not (isinstance(item, GraphQLObjectType) or is_interface_type(item)):
            self.refuse(f'{name} has no list of errors at "{".".join(call.errors)}".')
            return
        assert errors is not None
        if missing := {"code", "message"} - set(selections.fields(item, errors.below)):
            self.refuse(f'{name} does not select {" and ".join(sorted(missing))} at "{".".join(call.errors)}".')


def _split(path: str | None) -> tuple[str, ...] | None:
    return tuple(path.split(".")) if path is not None else None
