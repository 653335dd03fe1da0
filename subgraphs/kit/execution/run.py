"""One execution: what its resolvers are given, its errors, and the values it still waits for.

A value goes to a *position*: a container and a key in it, with the position that holds the container. Positions make
the path of an error, and the way that a null takes upwards when a non-null value is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import isasyncgen
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    located_error,
)
from graphql.pyutils import Undefined

from subgraphs.kit.execution.variables import Variables

if TYPE_CHECKING:
    from graphql.execution.values import VariableValues

Position = tuple[Any, Any, Any, bool]
"""The holding position (None at the root), the container, the key in it, and whether null may stand there."""
Path = tuple[str | int, ...]

PLAIN, AWAITABLE, EXCEPTION, NOTHING = range(4)


class _Kinds(dict[type, int]):
    """What a value of a class is to the executor; found out once a class."""

    def __missing__(self, cls: type) -> int:
        if hasattr(cls, "__await__"):
            kind = AWAITABLE
        elif issubclass(cls, Exception):
            kind = EXCEPTION
        else:
            kind = NOTHING if cls is type(Undefined) else PLAIN
        self[cls] = kind
        return kind


KINDS = _Kinds()


@dataclass(slots=True)
class Slot:
    """How a value is completed where it goes: by ``leaf``, or by ``complete``, which fills the position itself."""

    nullable: bool
    nodes: list[FieldNode]
    where: str
    leaf: Callable[[Any], Any] | None = None
    complete: Callable[[Run, Any, Position], None] | None = None


Pending = tuple[Any, Slot, Position]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an operation before it runs."""

    schema: GraphQLSchema
    node: OperationDefinitionNode
    fragment_definitions: dict[str, FragmentDefinitionNode]
    variables: Variables


class Run:
    """The state of one execution. ``root``: the operation's compiled fields."""

    __slots__ = ("__dict__", "coerced", "context", "data", "errors", "facts", "inputs", "nulled", "pending", "root")

    def __init__(
        self, facts: Facts, root: Sequence[Any], context: Any, inputs: dict[str, Any], coerced: dict[str, Any]
    ) -> None:
        self.facts = facts
        self.root = root
        self.context = context
        self.inputs = inputs
        self.coerced = coerced
        self.data: dict[str, Any] | None = {}
        self.errors: list[GraphQLError] = []
        self.nulled: set[Path] = set()
        self.pending: list[Pending] = []

    @cached_property
    def variable_values(self) -> VariableValues:
        """The variables with their sources, as graphql-core's own functions want them."""
        return self.facts.variables.with_sources(self.inputs)

    def fail(self, error: Exception, nodes: Sequence[FieldNode], position: Position) -> None:
        """Record the error of a position, and null the nearest position that may be null.

        An error below a position that is null already is not told (GraphQL, 6.4.4).
        """
        path = path_of(position)
        target: Position | None = position
        while target is not None and not target[3]:
            target = target[0]
        nulled = () if target is None else path_of(target)
        if self._is_nulled(nulled):
            return
        self.nulled.add(nulled)
        self.errors.append(located_error(error, nodes, list(path)))
        if target is None:
            self.data = None
        else:
            target[1][target[2]] = None

    def put(self, slot: Slot, value: Any, position: Position) -> None:
        """Complete a value and put it at its position. Raises what makes it an error there."""
        kind = KINDS[value.__class__]
        if value is None or kind == NOTHING:
            position[1][position[2]] = None
            if not slot.nullable:
                raise null_error(slot)
        elif kind == AWAITABLE:
            position[1][position[2]] = None
            self.pending.append((value, slot, position))
        elif kind == EXCEPTION:
            raise value
        elif slot.leaf is not None:
            position[1][position[2]] = slot.leaf(value)
        else:
            assert slot.complete is not None
            slot.complete(self, value, position)

    async def drain(self) -> None:
        """Wait for everything pending, and for what comes of it."""
        while len(self.pending) == 1:
            await self._settle(self._take()[0])
        if self.pending:
            tasks = [asyncio.create_task(self._settle_all(each)) for each in self._take()]
            try:
                await asyncio.gather(*tasks)
            except BaseException:
                for task in tasks:
                    task.cancel()
                raise

    async def _settle_all(self, pending: Pending) -> None:
        await self._settle(pending)
        if self.pending:
            await self.drain()

    async def _settle(self, pending: Pending) -> None:
        """Complete one awaited value; what it leaves pending is taken by the caller before anybody else runs."""
        awaitable, slot, position = pending
        try:
            value = await awaitable
            if not self.nulled or not self._is_nulled(path_of(position)):
                self.put(slot, value, position)
        except Exception as error:
            self.fail(error, slot.nodes, position)

    def _take(self) -> list[Pending]:
        pending, self.pending = self.pending, []
        return pending

    def _is_nulled(self, path: Path) -> bool:
        return any(path[:length] in self.nulled for length in range(len(path) + 1))


def path_of(position: Position | None) -> Path:
    """Response keys and indexes from the root to the position."""
    keys: list[str | int] = []
    while position is not None:
        keys.append(position[2])
        position = position[0]
    return tuple(reversed(keys))


def null_error(slot: Slot) -> TypeError:
    return TypeError(f"Cannot return null for non-nullable field {slot.where}.")


def is_async_iterable(value: Any) -> bool:
    return isasyncgen(value) or hasattr(value, "__aiter__")
