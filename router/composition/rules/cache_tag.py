"""@cacheTag: a tag's format may only name what every answer to be tagged has.

A format is text with expressions in braces: ``user-{$args.id}`` on a root field, ``user-{$key.id}`` on an entity.

Source: Federation directive reference, @cacheTag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphql.language import BooleanValueNode, FieldNode, SelectionSetNode, StringValueNode

from router.composition.field_sets import field_set_text, parse_field_set
from router.composition.model import ROOT_TYPES, Directive, Field, Report, Subgraph, TypeDefinition, base_type, is_list
from router.errors import CompositionErrorCode as Code

_PART = re.compile(r"\{([^{}]*)\}|([{}])")
_EXPRESSION = re.compile(r"\s*\$(\w+)((?:\s*\.\s*\w+)*)\s*", re.ASCII)


class _Unfit(Exception):
    def __init__(self, code: Code, message: str) -> None:
        self.code = code
        self.message = message


def check_cache_tags(subgraph: Subgraph, report: Report) -> None:
    """Look at every application of the directive."""
    for type_ in subgraph.types.values():
        for applied in type_.applied("cacheTag"):
            _report(report, subgraph, applied, f'@cacheTag on "{type_.name}"', _check_entity(subgraph, type_, applied))
        for field in type_.fields.values():
            for applied in field.applied("cacheTag"):
                where = f'@cacheTag on "{type_.name}.{field.name}"'
                _report(report, subgraph, applied, where, _check_field(subgraph, type_, field, applied))


def _report(report: Report, subgraph: Subgraph, applied: Directive, where: str, found: Iterator[_Unfit]) -> None:
    for unfit in found:
        report.error(unfit.code, f"{where}: {unfit.message}", (subgraph, applied))


def _check_field(subgraph: Subgraph, type_: TypeDefinition, field: Field, applied: Directive) -> Iterator[_Unfit]:
    if type_.name not in ROOT_TYPES.values():
        yield _Unfit(Code.CACHE_TAG_NOT_ON_ROOT_FIELD, "of fields only root fields can be tagged.")
        return
    for part in _expressions(applied):
        try:
            path = _path(part, "args", Code.CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ROOT_FIELD)
            _follow_arguments(subgraph, field, path)
        except _Unfit as unfit:
            yield unfit


def _check_entity(subgraph: Subgraph, type_: TypeDefinition, applied: Directive) -> Iterator[_Unfit]:
    keys = [text for key in type_.applied("key") if _resolvable(key) and (text := field_set_text(key)) is not None]
    if not keys:
        yield _Unfit(Code.CACHE_TAG_ENTITY_NOT_RESOLVABLE, "only a type with a resolvable @key can be tagged.")
        return
    for part in _expressions(applied):
        try:
            path = _path(part, "key", Code.CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ENTITY)
            _follow_fields(subgraph, type_, path)
            if not all(_selects(parse_field_set(key), path) for key in keys):
                message = f'"{".".join(path)}" is not a part of every @key.'
                raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT_FIELD_SET_ON_ENTITY, message)
        except _Unfit as unfit:
            yield unfit


def _resolvable(key: Directive) -> bool:
    value = key.arguments.get("resolvable")
    return not (isinstance(value, BooleanValueNode) and not value.value)


def _expressions(applied: Directive) -> Iterator[str]:
    """What stands in braces; an unmatched brace stands for itself."""
    value = applied.arguments.get("format")
    text = value.value if isinstance(value, StringValueNode) else ""
    for match in _PART.finditer(text):
        yield match[1] if match[2] is None else match[2]


def _path(expression: str, variable: str, code: Code) -> list[str]:
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT, f'"{expression}" is no expression like "${variable}.id".')
    path = [name.strip() for name in match[2].split(".")[1:]]
    if match[1] != variable or not path:
        raise _Unfit(code, f'here a format names members of "${variable}", and not "{expression.strip()}".')
    return path


def _follow_arguments(subgraph: Subgraph, field: Field, path: list[str]) -> None:
    members = field.arguments
    for index, name in enumerate(path):
        argument = members.get(name)
        if argument is None:
            raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT, f'there is no argument "{".".join(path[: index + 1])}".')
        target = subgraph.types.get(base_type(argument.type))
        members = target.inputs if target is not None else {}
        _check_step(path[: index + 1], argument.type, index + 1 == len(path), composite=bool(members))
        if not argument.type.endswith("!"):
            message = f'argument "{".".join(path[: index + 1])}" may be null.'
            raise _Unfit(Code.CACHE_TAG_FORMAT_NULLABLE_ARGUMENT, message)


def _follow_fields(subgraph: Subgraph, type_: TypeDefinition, path: list[str]) -> None:
    here: TypeDefinition | None = type_
    for index, name in enumerate(path):
        field = here.fields.get(name) if here is not None else None
        if field is None:
            raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT, f'there is no field "{".".join(path[: index + 1])}".')
        here = subgraph.types.get(base_type(field.type))
        composite = here is not None and here.kind in ("object", "interface", "union")
        _check_step(path[: index + 1], field.type, index + 1 == len(path), composite=composite)
        if not field.type.endswith("!"):
            message = f'field "{".".join(path[: index + 1])}" may be null.'
            raise _Unfit(Code.CACHE_TAG_FORMAT_NULLABLE_FIELD, message)


def _check_step(path: list[str], type_: str, last: bool, *, composite: bool) -> None:
    if is_list(type_):
        raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT, f'"{".".join(path)}" is a list.')
    if last and composite:
        raise _Unfit(Code.CACHE_TAG_INVALID_FORMAT, f'"{".".join(path)}" is no scalar and no enum.')


def _selects(selections: SelectionSetNode, path: list[str]) -> bool:
    for node in selections.selections:
        if isinstance(node, FieldNode) and node.name.value == path[0]:
            if len(path) == 1:
                return True
            if node.selection_set is not None and _selects(node.selection_set, path[1:]):
                return True
    return False
