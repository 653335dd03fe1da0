"""The best query tree: for every wanted field, the subgraph it comes from and the moves that lead there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from router.query_graph.model import ContextUse, FieldEdge, KeyMove, Node, Want

ROUND = 256
"""Bits a round takes in ``Cost.fetches``: one for each subgraph, as many as there can be."""


class Cost(NamedTuple):
    """What a part of a plan costs. The search adds and compares costs more often than it does anything else.

    ``lost``: type conditions that cannot be met in the subgraph although other subgraphs know the type.
    ``fetches``: the set of (round, subgraph) as bits, the rounds counted from where the part starts. Entity fetches of
    one subgraph in one round become one request, so a pair counts once however many fields need it.
    """

    fetches: int = 0
    lost: int = 0

    @property
    def requests(self) -> int:
        """How many requests."""
        return self.fetches.bit_count()

    @property
    def rounds(self) -> int:
        """The last round in which anything is fetched; 0 is the fetch the part starts in."""
        return max(self.fetches.bit_length() - 1, 0) // ROUND

    @property
    def weight(self) -> tuple[int, int, int]:
        """What is compared: losses, then requests, then rounds."""
        return self.lost, self.fetches.bit_count(), (self.fetches.bit_length() - 1) // ROUND

    def __or__(self, other: Cost) -> Cost:
        return Cost(self.fetches | other.fetches, self.lost + other.lost)

    def after(self, rounds: int) -> Cost:
        """The same cost, started later."""
        return Cost(self.fetches << rounds * ROUND, self.lost)

    def covers(self, other: Cost) -> bool:
        """Whether choosing the other instead can never be worse."""
        return not other.fetches & ~self.fetches and other.lost <= self.lost


def one_fetch(number: int, subgraph: int) -> Cost:
    """The cost of a request to a subgraph, given by its index, in a round."""
    return Cost(1 << (number * ROUND + subgraph))


FREE = Cost()


@dataclass(frozen=True, eq=False, slots=True)
class Select:
    """Take a field where we are. ``branch`` is what is wanted of its objects, None for a leaf."""

    want: Want
    edge: FieldEdge
    branch: Branch | None

    @property
    def cost(self) -> Cost:
        """What the objects below cost; the field itself is free."""
        return self.branch.cost if self.branch else FREE


@dataclass(frozen=True, eq=False, slots=True)
class Cast:
    """What is wanted of the objects of one type."""

    branch: Branch


@dataclass(frozen=True, eq=False, slots=True)
class Enter:
    """Re-enter the objects in another fetch.

    ``inputs`` (the key, and what fields require) go into the representations; ``sources`` are the branches that
    get them. ``branch`` is what the fetch then selects.
    """

    move: KeyMove
    inputs: tuple[Want, ...]
    sources: tuple[Branch, ...]
    branch: Branch
    cost: Cost
    contexts: tuple[ContextUse, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Branch:
    """A solution for what is wanted of the objects at a node."""

    node: Node
    selects: tuple[Select, ...] = ()
    casts: tuple[Cast, ...] = ()
    enters: tuple[Enter, ...] = ()
    cost: Cost = FREE
    deferred: tuple[tuple[int, Branch], ...] = ()
    """What belongs to a ``@defer`` that starts here, by its number. It costs the answer's first part nothing."""


class Priced(Protocol):
    """A part of a plan."""

    @property
    def cost(self) -> Cost: ...


def total(parts: Iterable[Priced]) -> Cost:
    """What parts cost together."""
    cost = FREE
    for part in parts:
        cost |= part.cost
    return cost


def arrival(node: Node, inputs: Cost) -> int:
    """The round in which a fetch runs whose inputs cost that. Entering at a root needs no round."""
    return inputs.rounds + 1 if node.subgraph else 0
