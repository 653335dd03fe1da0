"""A client operation after normalisation: what the planner reads.

Fragments are gone, ``@skip`` and ``@include`` have been evaluated against the request's variables (a plan is
cached per value of those variables), and every selection knows the type it stands on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

OperationKind = Literal["query", "mutation", "subscription"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument as it is printed into a subgraph operation.

    ``value`` is canonical GraphQL source (``$id``, ``{first: 10}``), so equality of arguments is equality of text.
    """

    name: str
    value: str
    variables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Field:
    """A selected field. ``parent`` is the type it was selected on; ``selections`` is empty for a leaf."""

    parent: str
    name: str
    response_name: str
    arguments: tuple[Argument, ...] = ()
    selections: tuple[Selection, ...] = ()
    directives: tuple[str, ...] = ()
    """Executable directives other than skip, include and defer, printed, in the client's order."""


@dataclass(frozen=True, slots=True)
class InlineFragment:
    """Selections that hold for the object types that ``type_condition`` covers, perhaps deferred."""

    parent: str
    type_condition: str
    selections: tuple[Selection, ...]
    defer: Defer | None = None


@dataclass(frozen=True, slots=True)
class Defer:
    """``@defer`` whose ``if`` was not false."""

    label: str | None = None


Selection = Field | InlineFragment


@dataclass(frozen=True, slots=True)
class VariableDefinition:
    """``type`` and ``default`` are GraphQL source."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One executable operation. ``root_type`` is the API schema's name of its root type."""

    kind: OperationKind
    root_type: str
    selections: tuple[Selection, ...]
    name: str | None = None
    variables: tuple[VariableDefinition, ...] = field(default=())
