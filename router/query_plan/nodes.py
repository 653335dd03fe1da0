"""The query plan: the one vocabulary that planner and executor share.

Data gathered while a plan runs is one tree of plain dicts and lists. Objects in it are keyed by *data keys*: the
response name wherever that is unambiguous, an internal alias where two fields of one object would collide (the same
response name with different types under different type conditions, a required field needed with other arguments).
Only :class:`Shape` knows how data keys become the client's response names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

OperationKind = Literal["query", "mutation", "subscription"]


# --- places in the data -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """Step into the object member under this data key."""

    name: str


@dataclass(frozen=True, slots=True)
class Items:
    """Step into every item of the list (null items are passed over)."""


@dataclass(frozen=True, slots=True)
class OnTypes:
    """Go on only with objects whose ``__typename`` is one of these."""

    types: frozenset[str]


PathSegment = Key | Items | OnTypes
Path = tuple[PathSegment, ...]


# --- fetches ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RepresentationField:
    """One member of a representation: read ``key`` from the data, send it as ``name``.

    A leaf has no ``selections``. Objects that are null stay null; lists keep their shape. If a member is missing
    from the data, or null where ``required`` says the subgraph's key cannot do without, the entity is not fetched.
    """

    name: str
    key: str
    selections: tuple[RepresentationSelection, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class RepresentationSelection:
    """The members to send for objects whose ``__typename`` is in ``types`` (None: whatever it is).

    ``typename`` is sent as ``__typename``: None sends none (a nested object of a concrete type), the empty string
    sends the object's own, anything else is sent as it stands (an interface object, a renamed type).
    """

    types: frozenset[str] | None
    typename: str | None
    fields: tuple[RepresentationField, ...]


@dataclass(frozen=True, slots=True)
class ContextValue:
    """A variable of an entity fetch whose value stands above the entities (``@fromContext``).

    ``path`` leads to the objects that hold it: from the root, or from the previous context value's objects.
    ``fields``: the value is the first of these that is there, read down to a leaf by its only members.
    """

    variable: str
    path: Path
    fields: tuple[RepresentationField, ...]


@dataclass(frozen=True, slots=True)
class EntityFetch:
    """One ``_entities`` field of a fetch: which objects it is for and what it sends of them.

    ``alias`` is the response name of the ``_entities`` field, ``variable`` the name of its representations
    variable. Several ``paths`` may feed it; representations are deduplicated over all of them. The subgraph's answer
    for a representation is merged into every object it came from.

    With ``contexts`` it is alone in its fetch and has one path, which begins with the paths of the context values.
    Entities below objects with other values need another request.
    """

    alias: str
    variable: str
    paths: tuple[Path, ...]
    representations: tuple[RepresentationSelection, ...]
    contexts: tuple[ContextValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request to one subgraph. With ``entities`` it is an entity fetch, without it starts at a root type.

    ``document`` is the complete operation text. ``variables`` are the client's variables it needs, by name.
    ``path`` is where a root fetch's answer is merged: into the operation's root when empty, otherwise into every
    object there (a field that returns the root type again).
    """

    id: int
    subgraph: str
    kind: OperationKind
    document: str
    variables: tuple[str, ...] = ()
    entities: tuple[EntityFetch, ...] = ()
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after another: each may read what the one before has merged."""

    nodes: tuple[PlanNode, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """In any order, at once."""

    nodes: tuple[PlanNode, ...]


@dataclass(frozen=True, slots=True)
class DeferredNode:
    """A deferred part: starts when the fetches in ``depends`` are done, adds ``shape`` at ``path``."""

    label: str | None
    path: Path
    depends: tuple[int, ...]
    node: PlanNode | None
    shape: Shape


@dataclass(frozen=True, slots=True)
class Defer:
    """``primary`` answers first, each of ``deferred`` follows in a payload of its own."""

    primary: PlanNode | None
    deferred: tuple[DeferredNode, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """``primary`` opens the event stream; ``rest`` runs on every event."""

    primary: Fetch
    rest: PlanNode | None


PlanNode = Fetch | Sequence | Parallel | Defer | Subscription


# --- the answer's shape -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShapeField:
    """One member of the answer: read data key ``key``, write ``response_name``.

    ``type`` is the API schema's type as GraphQL source (``[User!]!``): null propagation follows it.
    ``constant`` is set for ``__typename`` where the parent's type is known (then nothing is read).
    ``enum_values``: what the API schema lets through, None when the type is no enum.
    ``shape`` is set for composite types.
    """

    response_name: str
    key: str
    type: str
    constant: str | None = None
    enum_values: frozenset[str] | None = None
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class ShapeVariant:
    """Members, in the client's order, for the object types in ``types``."""

    types: frozenset[str]
    fields: tuple[ShapeField, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of an object. One variant: ``__typename`` need not be read unless ``abstract``.

    The types of the variants are disjoint. An object of any other type (the API schema hides it) becomes null.
    """

    abstract: bool
    variants: tuple[ShapeVariant, ...]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What to fetch and how to write the answer. ``node`` is None when nothing need be fetched."""

    kind: OperationKind
    node: PlanNode | None
    shape: Shape
    introspection: str | None = field(default=None)
    """The part of the operation that the router answers itself (``__schema``, ``__type``), as an operation text."""
