"""The same operation by graphql-core and by the compiled executor."""

from __future__ import annotations

from typing import Any

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLError, execute, parse, validate

from subgraphs.kit.execution import compile_operation

Told = tuple[bytes, set[tuple[str, str]]]


def told(result: ExecutionResult) -> Told:
    """The data with the order of its keys, and the errors with their paths in no order."""
    return orjson.dumps(result.data), {(error.message, str(error.path)) for error in result.errors or ()}


async def by_core(schema: strawberry.Schema, query: str, variables: Any = None, context: Any = None) -> Told:
    document = parse(query, no_location=True)
    assert validate(schema._schema, document) == []
    result = execute(schema._schema, document, context_value=context, variable_values=variables)
    if not isinstance(result, ExecutionResult):
        result = await result
    assert isinstance(result, ExecutionResult)
    return told(result)


async def compiled(schema: strawberry.Schema, query: str, variables: Any = None, context: Any = None) -> Told:
    operation = compile_operation(schema._schema, schema.schema_converter, parse(query, no_location=True), None)
    assert operation is not None
    first: Told | None = None
    for _ in range(2):  # what the first run compiled or kept must serve the second
        given = list(context) if isinstance(context, list) else context
        run = operation.prepare(given, variables)
        if isinstance(run, ExecutionResult):
            return told(run)
        assert run is not None
        again = told(await operation.run(run))
        assert first is None or first == again
        first = again
    assert first is not None
    return first


async def agree(schema: strawberry.Schema, query: str, variables: Any = None, context: Any = None) -> Told:
    """Both answers, which must be the same."""
    expected = await by_core(schema, query, variables, list(context) if isinstance(context, list) else context)
    assert await compiled(schema, query, variables, context) == expected
    return expected


def is_ours(schema: strawberry.Schema, query: str) -> bool:
    """Whether the operation is valid and compiled, not left to graphql-core."""
    try:
        document = parse(query, no_location=True)
    except GraphQLError:
        return False
    if validate(schema._schema, document):
        return False
    return compile_operation(schema._schema, schema.schema_converter, document, None) is not None
