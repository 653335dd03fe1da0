"""@inaccessible: what stays visible must make a valid API schema.

Source: inaccessible v0.2 (https://specs.apollo.dev/inaccessible/v0.2).
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql.language import EnumValueNode, ListValueNode, ObjectValueNode, ValueNode

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext
from router.composition.model import Element, Field, InputValue, Subgraph, TypeDefinition, base_type
from router.errors import CompositionErrorCode as Code


def check_inaccessible(context: MergeContext, merged: Merged) -> None:
    """Look at everything visible that touches something hidden."""
    hidden = {type_.name for type_ in merged.types.values() if type_.has("inaccessible")}
    if not hidden and not any("inaccessible" in s.applied_directives() for s in context.subgraphs):
        return
    check = _Checker(context, merged, hidden)
    for type_ in merged.types.values():
        check.type(type_)


class _Checker:
    def __init__(self, context: MergeContext, merged: Merged, hidden: set[str]) -> None:
        self._context = context
        self._merged = merged
        self._hidden = hidden

    def type(self, type_: TypeDefinition) -> None:
        if type_.name in self._hidden:
            if type_.name == "Query":
                self._error(Code.QUERY_ROOT_TYPE_INACCESSIBLE, "The query root cannot be @inaccessible.", type_)
            return
        self._check_children(type_)
        for field in type_.fields.values():
            self._check_field(type_, field)
        for value in type_.inputs.values():
            where = f'Input field "{type_.name}.{value.name}"'
            self._check_input(type_, where, value, f'the visible input type "{type_.name}"')

    def _check_children(self, type_: TypeDefinition) -> None:
        children: list[Element] = [*type_.fields.values(), *type_.inputs.values(), *type_.values.values()]
        if type_.kind == "union":
            children = [self._merged.types[name] for name in type_.members if name in self._merged.types]
        if children and all(child.has("inaccessible") for child in children):
            message = f'Type "{type_.name}" is visible, but everything in it is @inaccessible.'
            self._error(Code.ONLY_INACCESSIBLE_CHILDREN, message, type_)

    def _check_field(self, type_: TypeDefinition, field: Field) -> None:
        where = f'"{type_.name}.{field.name}"'
        interface_fields = [
            interface.fields[field.name]
            for name in type_.interfaces
            if name not in self._hidden
            and (interface := self._merged.types.get(name)) is not None
            and field.name in interface.fields
            and not interface.fields[field.name].has("inaccessible")
        ]
        if field.has("inaccessible"):
            if interface_fields:
                message = f"Field {where} is @inaccessible, but a visible interface field needs it."
                self._error(Code.IMPLEMENTED_BY_INACCESSIBLE, message, type_)
            return
        self._check_reference(type_, f"field {where}", field.type)
        for argument in field.arguments.values():
            place = f'Argument "{type_.name}.{field.name}({argument.name}:)"'
            needed = any(
                argument.name in other.arguments and not other.arguments[argument.name].has("inaccessible")
                for other in interface_fields
            )
            if argument.has("inaccessible") and needed:
                message = f"{place} is @inaccessible, but a visible interface field has it."
                self._error(Code.IMPLEMENTED_BY_INACCESSIBLE, message, type_)
            else:
                self._check_input(type_, place, argument, f"the visible field {where}")

    def _check_input(self, type_: TypeDefinition, where: str, value: InputValue, owner: str) -> None:
        if value.has("inaccessible"):
            if value.required:
                message = f"{where} is @inaccessible, but {owner} requires it."
                self._error(Code.REQUIRED_INACCESSIBLE, message, type_)
            return
        self._check_reference(type_, where[0].lower() + where[1:], value.type)
        if value.default is not None:
            for used in self._hidden_in_literal(value.default, base_type(value.type)):
                message = f"{used} is @inaccessible, but the default value of {where} uses it."
                self._error(Code.DEFAULT_VALUE_USES_INACCESSIBLE, message, type_)

    def _check_reference(self, type_: TypeDefinition, where: str, reference: str) -> None:
        name = base_type(reference)
        if name in self._hidden:
            message = f'Type "{name}" is @inaccessible, but the visible {where} refers to it.'
            self._error(Code.REFERENCED_INACCESSIBLE, message, type_)

    def _hidden_in_literal(self, value: ValueNode, type_name: str) -> Iterator[str]:
        type_ = self._merged.types.get(type_name)
        if type_ is None:
            return
        if isinstance(value, ListValueNode):
            for item in value.values or ():
                yield from self._hidden_in_literal(item, type_name)
        elif isinstance(value, EnumValueNode):
            used = type_.values.get(value.value)
            if used is not None and used.has("inaccessible"):
                yield f'Enum value "{type_name}.{used.name}"'
        elif isinstance(value, ObjectValueNode):
            for field in value.fields or ():
                member = type_.inputs.get(field.name.value)
                if member is not None and member.has("inaccessible"):
                    yield f'Input field "{type_name}.{member.name}"'
                elif member is not None:
                    yield from self._hidden_in_literal(field.value, base_type(member.type))

    def _error(self, code: Code, message: str, type_: TypeDefinition) -> None:
        sources: list[tuple[Subgraph, Element]] = [(s, t) for s, t in self._context.sources(type_.name)]
        self._context.report.error(code, message, *sources)
