"""Field sets (``"id organisation { id }"``): the text of ``@key``, ``@requires`` and ``@provides``."""

from __future__ import annotations

from functools import lru_cache

from graphql import GraphQLError, OperationDefinitionNode, SelectionSetNode, parse

from router.errors import OperationError


@lru_cache(maxsize=4096)
def parse_field_set(text: str) -> SelectionSetNode:
    """The selection set that a field set stands for. Raises OperationError if it is none."""
    try:
        document = parse("{" + text + "}", no_location=True)
    except GraphQLError as error:
        raise OperationError(f'"{text}" is not a field set: {error.message}') from None
    if len(document.definitions) != 1 or not isinstance(document.definitions[0], OperationDefinitionNode):
        raise OperationError(f'"{text}" is not a field set.')
    return document.definitions[0].selection_set
