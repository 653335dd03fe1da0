"""The ``fields`` arguments of @key, @requires and @provides are well formed, and select what each may select.

Source: Federation directive reference; the rules of GraphQL for fields, arguments and leaves apply inside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import GraphQLSyntaxError
from graphql.language import (
    FieldNode,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    print_ast,
)

from router.composition.field_sets import parse_field_set
from router.composition.literals import literal_fits
from router.composition.model import (
    Directive,
    Field,
    Report,
    Subgraph,
    TypeDefinition,
    base_type,
)
from router.composition.spec import ENTITY_INTERFACE_SINCE
from router.composition.usage import provided_fields
from router.errors import CompositionErrorCode as Code


def check_field_sets(subgraph: Subgraph, report: Report) -> None:
    """Check every field set of the subgraph."""
    for type_ in subgraph.types.values():
        for key in type_.applied("key"):
            if type_.kind == "interface" and subgraph.version < ENTITY_INTERFACE_SINCE:
                message = f'Interface "{type_.name}" cannot have @key before federation v2.3.'
                report.error(Code.KEY_UNSUPPORTED_ON_INTERFACE, message, (subgraph, type_))
                continue
            _Checker(subgraph, report, "key", f'@key of type "{type_.name}"', key).check(type_)
    provided = provided_fields(subgraph)
    for type_, field in subgraph.fields():
        for name in ("requires", "provides"):
            for directive in field.applied(name):
                _check_on_field(subgraph, report, type_, field, directive, provided)


def _check_on_field(
    subgraph: Subgraph,
    report: Report,
    type_: TypeDefinition,
    field: Field,
    directive: Directive,
    provided: set[tuple[str, str]],
) -> None:
    name = directive.name
    where = f'@{name} of field "{type_.name}.{field.name}"'
    if type_.kind == "interface":
        code = Code(f"{name.upper()}_UNSUPPORTED_ON_INTERFACE")
        report.error(code, f"{where}: @{name} cannot be used on an interface.", (subgraph, field))
    target: TypeDefinition | None = type_
    if name == "provides":
        target = subgraph.types.get(base_type(field.type))
        if target is None or target.kind not in ("object", "interface", "union"):
            message = f"{where}: {field.type} has no fields to provide."
            report.error(Code.PROVIDES_ON_NON_OBJECT_FIELD, message, (subgraph, field))
            return
    assert target is not None
    _Checker(subgraph, report, name, where, directive).check(target)


@dataclass(slots=True)
class _Checker:
    """Walks one field set, reporting what is wrong with it."""

    subgraph: Subgraph
    report: Report
    name: str
    where: str
    directive: Directive

    def check(self, target: TypeDefinition) -> None:
        value = self.directive.arguments.get("fields")
        if not isinstance(value, StringValueNode):
            self._error("INVALID_FIELDS_TYPE", "the fields argument must be a string")
            return
        try:
            selections = parse_field_set(value.value)
        except GraphQLSyntaxError as error:
            self._error("INVALID_FIELDS", error.message)
            return
        self._selections(target, selections, False)

    def _error(self, code: str, message: str) -> None:
        place = (self.subgraph, self.directive)
        self.report.error(Code(f"{self.name.upper()}_{code}"), f"{self.where}: {message}.", place)

    def _selections(self, parent: TypeDefinition, selections: SelectionSetNode, external: bool) -> None:
        for node in selections.selections or ():
            if node.directives:
                self._error(
                    "DIRECTIVE_IN_FIELDS_ARG", f"directives such as {print_ast(node.directives[0])} are not allowed"
                )
            if isinstance(node, FieldNode):
                self._field(parent, node, external)
            elif isinstance(node, InlineFragmentNode):
                self._fragment(parent, node, external)
            else:
                self._error("INVALID_FIELDS", "named fragments are not allowed")

    def _fragment(self, parent: TypeDefinition, node: InlineFragmentNode, external: bool) -> None:
        if node.type_condition is None:
            self._selections(parent, node.selection_set, external)
            return
        name = node.type_condition.name.value
        target = self.subgraph.types.get(name)
        if target is None:
            self._error("INVALID_FIELDS", f'type "{name}" does not exist')
        elif not self.subgraph.possible_types(name) & self.subgraph.possible_types(parent.name):
            self._error("INVALID_FIELDS", f'no value of type "{parent.name}" can be of type "{name}"')
        else:
            self._selections(target, node.selection_set, external)

    def _field(self, parent: TypeDefinition, node: FieldNode, external: bool) -> None:
        name = node.name.value
        if node.alias is not None:
            self._error("INVALID_FIELDS", f'alias "{node.alias.value}" is not allowed')
        if name == "__typename":
            return
        field = parent.fields.get(name)
        if field is None:
            self._error("INVALID_FIELDS", f'type "{parent.name}" has no field "{name}" in this subgraph')
            return
        self._arguments(parent, field, node)
        target = self.subgraph.types.get(base_type(field.type))
        is_composite = target is not None and target.kind in ("object", "interface", "union")
        self._key_type(parent, field, target)
        external = external or self._is_external(parent, name)
        if is_composite and node.selection_set is None:
            self._error("INVALID_FIELDS", f'"{parent.name}.{name}" is of type {field.type}: select fields of it')
        elif not is_composite and node.selection_set is not None:
            self._error("INVALID_FIELDS", f'"{parent.name}.{name}" is of type {field.type}: it has no fields')
        elif node.selection_set is not None and target is not None:
            self._selections(target, node.selection_set, external)
        elif self.name != "key" and not external:
            message = f'"{parent.name}.{name}" is not @external: this subgraph resolves it itself'
            self._error("FIELDS_MISSING_EXTERNAL", message)

    def _is_external(self, parent: TypeDefinition, name: str) -> bool:
        """On an interface it is enough that some implementation cannot resolve the field itself."""
        candidates = {parent.name} | self.subgraph.possible_types(parent.name)
        externals = self.subgraph.external_in_effect
        if any((candidate, name) in externals for candidate in candidates):
            return True
        declared = (self.subgraph.types[c].fields.get(name) for c in candidates if c in self.subgraph.types)
        # A key field of an extension, marked external out of habit, was never wrong to require.
        return any(field is not None and field.has("external") for field in declared)

    def _key_type(self, parent: TypeDefinition, field: Field, target: TypeDefinition | None) -> None:
        if self.name != "key":
            return
        # Lists are refused by the reference, but accepted by every composition in use, and they work.
        if target is not None and target.kind in ("interface", "union"):
            self._error(
                "FIELDS_SELECT_INVALID_TYPE", f'"{parent.name}.{field.name}" is of {target.kind} type {field.type}'
            )

    def _arguments(self, parent: TypeDefinition, field: Field, node: FieldNode) -> None:
        if self.name != "requires":
            if field.arguments:
                self._error("FIELDS_HAS_ARGS", f'"{parent.name}.{field.name}" has arguments')
            return
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        for unknown in given.keys() - field.arguments.keys():
            self._error("INVALID_FIELDS", f'"{parent.name}.{field.name}" has no argument "{unknown}"')
        for name, argument in field.arguments.items():
            value = given.get(name)
            if value is None:
                if argument.required:
                    self._error("INVALID_FIELDS", f'argument "{name}" of "{parent.name}.{field.name}" is required')
            elif any(True for _ in _variables(value)):
                self._error("INVALID_FIELDS", f'argument "{name}" of "{parent.name}.{field.name}" cannot be a variable')
            elif not literal_fits(self.subgraph, value, argument.type):
                message = (
                    f'{print_ast(value)} is no {argument.type} for argument "{name}" of "{parent.name}.{field.name}"'
                )
                self._error("INVALID_FIELDS", message)


def _variables(value: ValueNode) -> Iterator[VariableNode]:
    if isinstance(value, VariableNode):
        yield value
    elif isinstance(value, ListValueNode):
        for item in value.values or ():
            yield from _variables(item)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields or ():
            yield from _variables(field.value)
