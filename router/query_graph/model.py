"""What the query graph is made of: nodes, and the edges by which data moves between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from router.operation.model import Argument
from router.supergraph.model import ContextArgument


@dataclass(frozen=True, eq=False, slots=True)
class Want:
    """One field wanted of an object: a client's selection, or a member of a key or of a ``@requires`` set.

    Type conditions are flattened away: ``types`` are the object types it is wanted for, over all subgraphs.
    ``key`` is the data key a client's field must have; None lets the planner choose. ``defer`` is the number of the
    ``@defer`` that starts here. Compared by identity, so that what was once computed for a want can be found again
    cheaply.
    """

    name: str
    types: frozenset[str]
    arguments: tuple[Argument, ...] = ()
    selections: tuple[Want, ...] = ()
    key: str | None = None
    directives: tuple[str, ...] = ()
    defer: int | None = None
    contexts: tuple[ContextUse, ...] = ()

    def __str__(self) -> str:
        arguments = ", ".join(f"{a.name}: {a.value}" for a in self.arguments)
        inner = f" {{ {' '.join(map(str, self.selections))} }}" if self.selections else ""
        return self.name + (f"({arguments})" if arguments else "") + inner


@dataclass(frozen=True, eq=False, slots=True)
class ContextUse:
    """Where an argument from a ``@context`` comes from: ``wants`` of the object ``level`` composite fields down."""

    argument: ContextArgument
    level: int
    wants: tuple[Want, ...]


@dataclass(frozen=True, slots=True)
class ProvidedField:
    """An external field that ``@provides`` makes resolvable here, for these object types."""

    name: str
    types: frozenset[str]
    nested: frozenset[ProvidedField] = frozenset()


class Node(NamedTuple):
    """A type as one subgraph sees it. ``provided`` makes it a view: more can be resolved here than elsewhere."""

    subgraph: str
    type: str
    provided: frozenset[ProvidedField] = frozenset()

    def __str__(self) -> str:
        view = f" providing {' '.join(sorted(field.name for field in self.provided))}" if self.provided else ""
        return f"{self.type}/{self.subgraph}{view}"


@dataclass(frozen=True, slots=True)
class FieldEdge:
    """A field the source's subgraph resolves. ``target`` is None for leaves.

    ``requires`` must be sent along in a representation before the subgraph can answer, likewise the arguments that
    come from a ``@context``.
    """

    source: Node
    name: str
    target: Node | None
    requires: tuple[Want, ...] = ()
    context_arguments: tuple[ContextArgument, ...] = ()

    @property
    def conditional(self) -> bool:
        """Whether the field can only be asked for in an entity fetch that sends something along."""
        return bool(self.requires or self.context_arguments)


@dataclass(frozen=True, slots=True)
class KeyMove:
    """Re-enter an object in ``target.subgraph`` by a key. An empty key is a move to another root of the same kind.

    ``typename`` is what the representation names: an object type, or an interface where one end is an interface
    object or the runtime type is not known.
    """

    target: Node
    key: tuple[Want, ...]
    typename: str


def wants_in(wants: tuple[Want, ...]) -> Iterator[Want]:
    """Every want of a set, outermost first."""
    for want in wants:
        yield want
        yield from wants_in(want.selections)
