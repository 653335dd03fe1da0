"""The best query tree: for every wanted field, the subgraph it comes from and the moves that lead there."""

from __future__ import annotations

from dataclasses import dataclass

from router.query_graph.model import FieldEdge, KeyMove, Node, Want


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a plan costs, in the order that matters.

    ``lost``: type conditions that cannot be met in the subgraph although other subgraphs know the type.
    ``fetches``: (round, subgraph), the rounds counted from where the part starts. Entity fetches of one subgraph in
    one round become one request, so a pair counts once however many fields need it.
    """

    fetches: frozenset[tuple[int, str]] = frozenset()
    lost: int = 0

    @property
    def rounds(self) -> int:
        """The last round in which anything is fetched; 0 is the fetch the part starts in."""
        return max((number for number, _ in self.fetches), default=0)

    @property
    def weight(self) -> tuple[int, int, int]:
        """What is compared: losses, then fetches, then rounds."""
        return self.lost, len(self.fetches), self.rounds

    def __or__(self, other: Cost) -> Cost:
        return Cost(self.fetches | other.fetches, self.lost + other.lost)

    def after(self, rounds: int) -> Cost:
        """The same cost, started later."""
        return Cost(frozenset((number + rounds, subgraph) for number, subgraph in self.fetches), self.lost)

    def covers(self, other: Cost) -> bool:
        """Whether choosing the other instead can never be worse."""
        return other.fetches <= self.fetches and other.lost <= self.lost


FREE = Cost()


@dataclass(frozen=True, eq=False, slots=True)
class Select:
    """Take a field where we are. ``branch`` is what is wanted of its objects, None for a leaf."""

    want: Want
    edge: FieldEdge
    branch: Branch | None


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


def entering(node: Node, sources: tuple[Branch, ...], move: KeyMove) -> Cost:
    """The cost of getting into a move's target: its inputs, then one fetch. Entering at a root needs no round."""
    cost = FREE
    for source in sources:
        cost |= source.cost
    return cost | Cost(frozenset({(arrival(node, cost), move.target.subgraph)}))


def arrival(node: Node, inputs: Cost) -> int:
    """The round in which a fetch runs whose inputs cost that."""
    return inputs.rounds + 1 if node.subgraph else 0
