"""The same operation by graphql-core and by the compiled executor."""

from __future__ import annotations

import ast
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


async def agree(
    schema: strawberry.Schema, query: str, variables: Any = None, context: Any = None, *, by_timing: bool = False
) -> Told:
    """Both answers, which must be the same.

    ``by_timing``: where several errors meet in one null, which of them came before it is a matter of time, in
    graphql-core too. There, each must tell some error of that null.
    """
    expected = await by_core(schema, query, variables, list(context) if isinstance(context, list) else context)
    answer = await compiled(schema, query, variables, context)
    if by_timing:
        assert answer[0] == expected[0]
        assert _settled(answer) == _settled(expected)
    else:
        assert answer == expected
    return expected


def _settled(answer: Told) -> set[tuple[str, str]]:
    """The errors, those below a null as that null alone."""
    data, errors = answer
    settled = set()
    for message, path in errors:
        null = _null_above(orjson.loads(data), ast.literal_eval(path))
        settled.add((message, path) if null is None else ("below a null", str(null)))
    return settled


def _null_above(data: Any, path: list[str | int] | None) -> list[str | int] | None:
    """Where above the end of the path the data is null already."""
    for depth, key in enumerate(path or ()):
        if data is None:
            return (path or [])[:depth]
        data = data[key]
    return None


@contextmanager
def unawaited_by_core() -> Iterator[None]:
    """graphql-core drops siblings that it had not begun when a non-null field fails. They are collected at the end,
    unheard; in between they might be collected anywhere."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .(GraphQLCoreConverter.from_resolver|Executor).", RuntimeWarning)
        try:
            yield
        finally:
            gc.collect()
            gc.enable()


def is_ours(schema: strawberry.Schema, query: str) -> bool:
    """Whether the operation is valid and compiled, not left to graphql-core."""
    try:
        document = parse(query, no_location=True)
    except GraphQLError:
        return False
    if validate(schema._schema, document):
        return False
    return compile_operation(schema._schema, schema.schema_converter, document, None) is not None
