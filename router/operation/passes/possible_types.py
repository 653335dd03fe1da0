"""Which object types a selection can meet: decides whether a type condition goes, stays, or matches always."""

from __future__ import annotations

from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    is_composite_type,
)

from router.errors import OperationError

CompositeType = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


class PossibleTypes:
    """The schema's answer to "what can this be", remembered."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: dict[str, frozenset[str]] = {}

    def of(self, type_: CompositeType) -> frozenset[str]:
        """Names of the object types that a value of this type can have at run time."""
        known = self._known.get(type_.name)
        if known is None:
            if isinstance(type_, GraphQLObjectType):
                known = frozenset((type_.name,))
            else:
                known = frozenset(possible.name for possible in self._schema.get_possible_types(type_))
            self._known[type_.name] = known
        return known

    def composite(self, name: str) -> CompositeType:
        """The composite type of that name. Raises OperationError if there is none."""
        found: GraphQLNamedType | None = self._schema.get_type(name)
        if found is None or not is_composite_type(found):
            raise OperationError(f'Type "{name}" is not an object, interface or union of this schema.')
        assert isinstance(found, CompositeType)
        return found


def always_matches(parent: CompositeType, condition: CompositeType, met: frozenset[str], can: frozenset[str]) -> bool:
    """Whether the condition can be left out: every object met satisfies it, and its fields exist on the parent.

    ``met`` are the types the parent's objects can have here, ``can`` those of the condition. A parent interface
    whose objects all satisfy the condition without the interface itself implementing it lacks the fields.
    """
    if not met <= can:
        return False
    if condition is parent or isinstance(parent, GraphQLObjectType) or isinstance(condition, GraphQLUnionType):
        return True
    return isinstance(parent, GraphQLInterfaceType) and condition in parent.interfaces
