"""Lists, objects and abstract types: what a resolver's value becomes in the answer (GraphQL, 6.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    default_type_resolver,
)
from graphql.pyutils import inspect, is_awaitable
from graphql.pyutils.is_iterable import is_iterable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import TYPE_CAST_ATTRIBUTE

from subgraphs.kit.execution.fields import Call, FieldInfo, Read
from subgraphs.kit.execution.run import KINDS, Position, Run, Slot, is_async_iterable

Complete = Callable[[Run, Any, Position], None]
Field = tuple[str, Read | None, Call | None, Slot]
"""The response key, the value's reader or (else) resolver, and how it is completed."""
Subfields = Callable[[GraphQLObjectType, list[FieldNode]], list[Field]]
"""What some fields select of an object of a type."""


def select(run: Run, fields: Sequence[Field], source: Any, out: dict[str, Any], frame: Position | None) -> None:
    """Fill ``out`` with the fields of one object. An error that its object does not survive ends it early."""
    for key, read, call, slot in fields:
        try:
            if read is not None:
                value = read(source)
                leaf = slot.leaf
                if leaf is not None and value is not None and KINDS[value.__class__] == 0:
                    out[key] = leaf(value)
                    continue
            else:
                assert call is not None
                value = call(run, source, (frame, out, key, slot.nullable))
            run.put(slot, value, (frame, out, key, slot.nullable))
        except Exception as error:
            run.fail(error, slot.nodes, (frame, out, key, slot.nullable))
            if not slot.nullable:
                return


def complete_list(item: Slot, where: str) -> Complete:
    """Each item at its index."""

    def complete(run: Run, value: Any, position: Position) -> None:
        if is_async_iterable(value):
            run.put(Slot(position[3], item.nodes, where, complete=complete), _collect(value), position)
            return
        if value.__class__ is not list and not is_iterable(value):
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{where}'.")
        out: list[Any] = []
        position[1][position[2]] = out
        for index, each in enumerate(value):
            out.append(None)
            place = (position, out, index, item.nullable)
            try:
                run.put(item, each, place)
            except Exception as error:
                run.fail(error, item.nodes, place)
                if not item.nullable:
                    return

    return complete


async def _collect(source: Any) -> list[Any]:
    return [each async for each in source]


def complete_object(type_: GraphQLObjectType, slot: Slot, about: FieldInfo, subfields: Subfields) -> Complete:
    """The object's selected fields, compiled when the first such object comes."""
    fields: list[Field] | None = None
    check = _type_check(type_, about)

    def complete(run: Run, value: Any, position: Position) -> None:
        nonlocal fields
        if check is not None and (answer := check(run, value, position)) is not True:
            if is_awaitable(answer):
                run.pending.append((_checked(type_, answer, value, slot), _unchecked(slot, go), position))
                return
            if not answer:
                raise _invalid(type_, value, slot)
        go(run, value, position)

    def go(run: Run, value: Any, position: Position) -> None:
        nonlocal fields
        if fields is None:
            fields = subfields(type_, slot.nodes)
        out: dict[str, Any] = {}
        position[1][position[2]] = out
        select(run, fields, value, out, position)

    return complete


def _unchecked(slot: Slot, go: Complete) -> Slot:
    return Slot(slot.nullable, slot.nodes, slot.where, complete=go)


async def _checked(type_: GraphQLObjectType, answer: Any, value: Any, slot: Slot) -> Any:
    if not await answer:
        raise _invalid(type_, value, slot)
    return value


def _invalid(type_: GraphQLObjectType, value: Any, slot: Slot) -> GraphQLError:
    return GraphQLError(f"Expected value of type '{type_}' but got: {inspect(value)}.", slot.nodes)


def _type_check(type_: GraphQLObjectType, about: FieldInfo) -> Callable[[Run, Any, Position], Any] | None:
    is_type_of = type_.is_type_of
    if is_type_of is None:
        return None
    definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    plain = isinstance(definition, StrawberryObjectDefinition) and not definition.is_type_of
    origin = definition.origin if isinstance(definition, StrawberryObjectDefinition) and plain else None

    def check(run: Run, value: Any, position: Position) -> Any:
        if value.__class__ is origin and not hasattr(value, TYPE_CAST_ATTRIBUTE):
            return True
        return is_type_of(value, about.at(run, position))

    return check


def complete_abstract(
    type_: GraphQLAbstractType, slot: Slot, about: FieldInfo, schema: GraphQLSchema, subfields: Subfields
) -> Complete:
    """By the type's own resolver; once a class for Strawberry's own, which look at nothing but the class."""
    resolve_type = type_.resolve_type or default_type_resolver
    by_name: dict[str, Complete] = {}
    by_class: dict[type, Complete] = {}
    definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    custom = bool(getattr(definition, "resolve_type", None))

    def named(name: Any, value: Any) -> Complete:
        runtime_type = _valid_type(name, type_, value, slot, schema)
        if runtime_type.name not in by_name:
            by_name[runtime_type.name] = complete_object(runtime_type, slot, about, subfields)
        return by_name[runtime_type.name]

    def complete(run: Run, value: Any, position: Position) -> None:
        known = by_class.get(value.__class__)
        if known is not None and not hasattr(value, TYPE_CAST_ATTRIBUTE):
            known(run, value, position)
            return
        name = resolve_type(value, about.at(run, position), type_)
        if is_awaitable(name):
            run.pending.append((_named(name, value), _by_pair(slot, named), position))
            return
        inner = named(name, value)
        if not custom and not hasattr(value, TYPE_CAST_ATTRIBUTE) and _is_class_of(name, value, schema):
            by_class[value.__class__] = inner
        inner(run, value, position)

    return complete


async def _named(name: Any, value: Any) -> tuple[Any, Any]:
    return await name, value


def _by_pair(slot: Slot, named: Callable[[Any, Any], Complete]) -> Slot:
    def complete(run: Run, pair: Any, position: Position) -> None:
        name, value = pair
        named(name, value)(run, value, position)

    return Slot(slot.nullable, slot.nodes, slot.where, complete=complete)


def _is_class_of(name: Any, value: Any, schema: GraphQLSchema) -> bool:
    """Whether the value's class alone decides on its type: it is the type's own, not one of a generic type's."""
    type_ = schema.get_type(str(name))
    definition = type_.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF) if type_ else None
    return (
        isinstance(definition, StrawberryObjectDefinition)
        and definition.origin is value.__class__
        and definition.concrete_of is None
        and not definition.is_type_of
    )


def _valid_type(
    name: Any, type_: GraphQLAbstractType, value: Any, slot: Slot, schema: GraphQLSchema
) -> GraphQLObjectType:
    if name is None or not isinstance(name, str):
        raise GraphQLError(
            f"Abstract type '{type_}' must resolve to an Object type at runtime for field '{slot.where}'"
            f" with value {inspect(value)}, received '{inspect(name)}'.",
            slot.nodes,
        )
    runtime_type = schema.get_type(name)
    if not isinstance(runtime_type, GraphQLObjectType):
        raise GraphQLError(f"Abstract type '{type_}' was resolved to '{name}', which is no object type.", slot.nodes)
    if not schema.is_sub_type(type_, runtime_type):
        raise GraphQLError(f"Runtime Object type '{name}' is not a possible type for '{type_}'.", slot.nodes)
    return runtime_type
