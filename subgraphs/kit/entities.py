"""``_entities`` in one batch a type: one bad representation nulls itself only.

Strawberry's own resolver trusts representations (their keys become arguments, an unknown type nulls the whole list),
so this replaces it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLResolveInfo, GraphQLSchema

Representation = Mapping[str, Any]
Resolve = Callable[[Sequence[Representation], Any], Awaitable[Sequence[Any]]]
"""Representations of one type and the request's context in; the entities (None: unknown) in the same order out."""

MAX_REPRESENTATIONS = 1000


def resolve_entities(schema: strawberry.federation.Schema, by_type: Mapping[str, Resolve]) -> None:
    """Make the schema's ``_entities`` field answer through ``by_type``, keyed by GraphQL type name.

    Raises ValueError when an entity type of the schema has no entry: it would be null for ever.
    """
    graphql_schema: GraphQLSchema = schema._schema
    query = graphql_schema.query_type
    assert query is not None
    entity_types = {member.name for member in getattr(graphql_schema.get_type("_Entity"), "types", ())}
    if missing := entity_types - by_type.keys():
        raise ValueError(f"no entity resolver for {', '.join(sorted(missing))}")

    async def entities(_root: Any, info: GraphQLResolveInfo[Any], representations: Sequence[Any]) -> list[Any]:
        if len(representations) > MAX_REPRESENTATIONS:
            raise GraphQLError(f"at most {MAX_REPRESENTATIONS} representations")
        return await _resolve(representations, info.context, by_type)

    query.fields["_entities"].resolve = entities


async def _resolve(representations: Sequence[Any], context: Any, by_type: Mapping[str, Resolve]) -> list[Any]:
    places: dict[str, list[int]] = defaultdict(list)
    answers: list[Any] = [None] * len(representations)
    for index, representation in enumerate(representations):
        type_name = representation.get("__typename") if isinstance(representation, Mapping) else None
        if type_name in by_type:
            places[str(type_name)].append(index)
    for type_name, indexes in places.items():
        try:
            found = await by_type[type_name]([representations[index] for index in indexes], context)
        except Exception as error:
            found = [error] * len(indexes)  # graphql-core reports an exception in a list as that item's error
        for index, entity in zip(indexes, found, strict=True):
            answers[index] = entity
    return answers
