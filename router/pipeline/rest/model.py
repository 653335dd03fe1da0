"""What a bindings file says, once it has been checked against the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphql import DocumentNode, GraphQLInputObjectType, GraphQLInputType, OperationDefinitionNode

from router.pipeline.persisted import PersistedOperation

Place = Literal["path", "query", "header", "body"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Argument:
    """A value of a request by its place and name, and the variable that it becomes."""

    place: Place
    name: str
    variable: str
    type: GraphQLInputType
    required: bool


@dataclass(frozen=True, slots=True)
class Remainder:
    """The variable that the body's other properties become: an input object."""

    variable: str
    type: GraphQLInputObjectType
    required: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that an endpoint may run. ``result``, ``errors``: where in its data they are."""

    operation: PersistedOperation
    document: DocumentNode
    definition: OperationDefinitionNode
    arguments: tuple[Argument, ...]
    remainder: Remainder | None
    result: tuple[str, ...]
    errors: tuple[str, ...] | None

    def of(self, *places: Place) -> tuple[Argument, ...]:
        """The arguments of these places."""
        return tuple(argument for argument in self.arguments if argument.place in places)

    @property
    def has_body(self) -> bool:
        return self.remainder is not None or bool(self.of("body"))

    @property
    def required_properties(self) -> frozenset[str]:
        """Names of the body's properties that must be given, those of the remainder apart."""
        return frozenset(argument.name for argument in self.of("body") if argument.required)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a path. Of several ``calls`` the one is run whose required body properties are there."""

    method: Method
    path: str
    summary: str
    tag: str | None
    status: int
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """All endpoints, with what they share."""

    title: str
    version: str
    description: str
    endpoints: tuple[Endpoint, ...]
    statuses: Mapping[str, int]
    default_status: int
    scalars: Mapping[str, Mapping[str, Any]]
    """JSON Schema of the graph's own scalars."""

    def status_of(self, code: str) -> int:
        """The HTTP status of a user error."""
        return self.statuses.get(code, self.default_status)
