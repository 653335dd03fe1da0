"""@cost and @listSize say something about fields that exist and are lists.

Source: Federation directive reference, @cost and @listSize.
"""

from __future__ import annotations

from collections.abc import Callable

from graphql.language import IntValueNode, ListValueNode, StringValueNode

from router.composition.model import Directive, Field, Report, Subgraph, TypeDefinition, base_type, is_list
from router.errors import CompositionErrorCode as Code

Problem = Callable[[Code, str], None]


def check_costs(subgraph: Subgraph, report: Report) -> None:
    """Interface fields cost what their implementations cost; list sizes fit the fields they describe."""
    for type_, field in subgraph.fields():
        where = f'"{type_.name}.{field.name}"'
        if type_.kind == "interface" and field.has("cost"):
            message = f"{where} belongs to an interface: put @cost on its implementations."
            report.error(Code.COST_APPLIED_TO_INTERFACE_FIELD, message, (subgraph, field))
        for applied in field.applied("listSize"):

            def problem(code: Code, message: str, field: Field = field) -> None:
                report.error(code, message, (subgraph, field))

            _check_list_size(subgraph, where, field, applied, problem)


def _check_list_size(subgraph: Subgraph, where: str, field: Field, applied: Directive, problem: Problem) -> None:
    sized = _strings(applied, "sizedFields")
    assumed = applied.arguments.get("assumedSize")
    if sized is None and not is_list(field.type):
        problem(Code.LIST_SIZE_APPLIED_TO_NON_LIST, f"{where} has @listSize, but is not a list.")
    if isinstance(assumed, IntValueNode) and int(assumed.value) < 0:
        problem(Code.LIST_SIZE_INVALID_ASSUMED_SIZE, f"{where}: an assumed size cannot be negative.")
    for name in _strings(applied, "slicingArguments") or ():
        argument = field.arguments.get(name)
        if argument is None:
            message = f'{where}: slicing argument "{name}" is not an argument of the field.'
            problem(Code.LIST_SIZE_INVALID_SLICING_ARGUMENT, message)
        elif argument.type not in ("Int", "Int!"):
            message = f'{where}: slicing argument "{name}" must be of type Int, not {argument.type}.'
            problem(Code.LIST_SIZE_INVALID_SLICING_ARGUMENT, message)
    if sized is not None:
        _check_sized_fields(where, field, subgraph.types.get(base_type(field.type)), sized, problem)


def _check_sized_fields(
    where: str, field: Field, target: TypeDefinition | None, sized: list[str], problem: Problem
) -> None:
    if target is None or not target.is_composite or is_list(field.type):
        message = f"{where}: {field.type} is no object, so it has no sized fields."
        problem(Code.LIST_SIZE_INVALID_SIZED_FIELD, message)
        return
    for name in sized:
        member = target.fields.get(name)
        if member is None:
            message = f'{where}: sized field "{name}" is not a field of "{target.name}".'
            problem(Code.LIST_SIZE_INVALID_SIZED_FIELD, message)
        elif not is_list(member.type):
            message = f'{where}: sized field "{target.name}.{name}" is not a list.'
            problem(Code.LIST_SIZE_APPLIED_TO_NON_LIST, message)


def _strings(directive: Directive, name: str) -> list[str] | None:
    value = directive.arguments.get(name)
    if not isinstance(value, ListValueNode):
        return None
    return [item.value for item in value.values or () if isinstance(item, StringValueNode)]
