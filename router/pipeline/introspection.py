"""``__schema`` and ``__type``, answered from the API schema without asking a subgraph."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLSchema, execute_sync, parse

from router.errors import RequestError, RequestErrorCode


def answer_introspection(schema: GraphQLSchema, document: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The root data of an introspection operation, which is part of an operation that has been validated."""
    result = execute_sync(schema, parse(document), variable_values=variables)
    if result.errors or result.data is None:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, *(error.message for error in result.errors or ()))
    return result.data


def refuse_introspection() -> RequestError:
    """What clients get where introspection is off."""
    message = "Introspection is off: ask the operator for the schema."
    return RequestError(RequestErrorCode.GRAPHQL_VALIDATION_FAILED, message)
