"""A subgraph's GraphQL, executed from cached, validated documents: the one door for HTTP and in-process callers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    execute,
    get_operation_ast,
    parse,
    subscribe,
    validate,
)
from graphql.pyutils import is_awaitable

from db.deadline import TooLate
from db.refusals import is_no_text
from db.session import is_away
from subgraphs.kit.calendar import bound_dates
from subgraphs.kit.errors import AccessDenied, Rejected, Unavailable
from subgraphs.kit.execution import Operation, compile_operation
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, Identity
from subgraphs.kit.pagination import InvalidPage

C = TypeVar("C")
Answer = dict[str, Any]
log = structlog.get_logger()

MAX_DOCUMENTS = 2048
TOO_LATE = "REQUEST_TIMEOUT"
RETRY_AFTER_MS = 1_000


@dataclass(frozen=True, slots=True)
class Caller:
    """What a context is made from: who asks, and the headers that the router forwarded."""

    identity: Identity
    headers: Mapping[str, str]


class GraphQLEndpoint(Generic[C]):
    """Answers operations with plain Python data: ``{"data": ..., "errors": [...]}``, scalars serialised."""

    def __init__(
        self, schema: strawberry.federation.Schema, make_context: Callable[[Caller], C], claims: ClaimsVerifier
    ) -> None:
        self.schema: GraphQLSchema = schema._schema
        bound_dates(self.schema)
        self.sdl = schema.as_str()
        self._make_context = make_context
        self._claims = claims
        self._converter = schema.schema_converter
        self._documents: OrderedDict[str, DocumentNode | list[GraphQLError]] = OrderedDict()
        self._operations: OrderedDict[tuple[str, str | None], Operation | None] = OrderedDict()

    async def execute(
        self, query: str, variables: dict[str, Any] | None, operation_name: str | None, headers: Mapping[str, str]
    ) -> Answer:
        """The answer to a query or mutation. Never raises for what a caller or a resolver did."""
        prepared = self._prepare(query, headers)
        if not isinstance(prepared, tuple):
            return prepared
        document, context = prepared
        operation = self._operation(query, document, operation_name)
        run = operation.prepare(context, variables) if operation is not None else None
        if isinstance(run, ExecutionResult):
            return _answer(run)
        if operation is not None and run is not None:
            return _answer(await operation.run(run))
        result = execute(
            self.schema, document, context_value=context, variable_values=variables, operation_name=operation_name
        )
        if is_awaitable(result):
            result = await result
        return _answer(cast(ExecutionResult, result))

    async def subscribe(
        self, query: str, variables: dict[str, Any] | None, operation_name: str | None, headers: Mapping[str, str]
    ) -> AsyncIterator[Answer]:
        """One answer an event, until the source ends or the caller stops listening."""
        prepared = self._prepare(query, headers)
        if not isinstance(prepared, tuple):
            yield prepared
            return
        document, context = prepared
        stream = subscribe(
            self.schema, document, context_value=context, variable_values=variables, operation_name=operation_name
        )
        if is_awaitable(stream):
            stream = await stream
        if isinstance(stream, ExecutionResult):
            yield _answer(stream)
            return
        events = cast(AsyncIterator[ExecutionResult], stream)
        try:
            async for event in events:
                yield _answer(event)
        except Exception as error:  # a source that refuses, or breaks, ends the subscription with its reason
            yield {"data": None, "errors": [_error(GraphQLError(str(error), original_error=error))]}
        finally:
            await cast(Any, events).aclose()

    def kind(self, query: str, operation_name: str | None) -> str:
        """``query``, ``mutation`` or ``subscription``; what is invalid does no more than a query."""
        document = self._document(query)
        operation = None if isinstance(document, list) else get_operation_ast(document, operation_name)
        return "query" if operation is None else operation.operation.value

    def _prepare(self, query: str, headers: Mapping[str, str]) -> tuple[DocumentNode, C] | Answer:
        try:
            identity = self._claims.identity(headers.get(CLAIMS_HEADER))
        except AccessDenied as denied:
            return {"data": None, "errors": [{"message": str(denied), "extensions": {"code": denied.code}}]}
        document = self._document(query)
        if isinstance(document, list):
            return {"data": None, "errors": [_error(error, "GRAPHQL_VALIDATION_FAILED") for error in document[:10]]}
        return document, self._make_context(Caller(identity, headers))

    def _operation(self, query: str, document: DocumentNode, name: str | None) -> Operation | None:
        key = query, name
        if key in self._operations:
            self._operations.move_to_end(key)
            return self._operations[key]
        made = self._operations[key] = compile_operation(self.schema, self._converter, document, name)
        if len(self._operations) > MAX_DOCUMENTS:
            self._operations.popitem(last=False)
        return made

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        cached = self._documents.get(query)
        if cached is not None:
            self._documents.move_to_end(query)
            return cached
        try:
            document = parse(query, no_location=True)
            made: DocumentNode | list[GraphQLError] = validate(self.schema, document) or document
        except GraphQLError as error:
            made = [error]
        self._documents[query] = made
        if len(self._documents) > MAX_DOCUMENTS:
            self._documents.popitem(last=False)
        return made


def _answer(result: ExecutionResult) -> Answer:
    answer: Answer = {"data": result.data}
    if result.errors:
        answer["errors"] = [_error(error) for error in result.errors]
    return answer


def _error(error: GraphQLError, code: str | None = None) -> dict[str, Any]:
    """What may be told of an error: our own kinds in full, a bug as nothing but its code."""
    cause = error.original_error
    message = error.message
    if isinstance(cause, AccessDenied | Unavailable | InvalidPage):
        code = cause.code
    elif isinstance(cause, Rejected):  # where no payload can tell it: its code is one of userErrors, not of this place
        code = "BAD_USER_INPUT"
    elif isinstance(cause, TooLate):
        code = TOO_LATE
    elif cause is not None and is_no_text(cause):
        code, message = "BAD_USER_INPUT", "A text has a character that cannot be kept (U+0000)."
    elif cause is not None and is_away(cause):
        log.warning("database.away", path=error.path, error=f"{type(cause).__name__}: {cause}"[:300])
        code, message = Unavailable.code, "This does not work right now; try again."
    elif cause is not None and not isinstance(cause, GraphQLError):
        log.error("resolver.failed", path=error.path, exc_info=cause)
        code, message = "INTERNAL_SERVER_ERROR", "Something went wrong on our side."
    told: dict[str, Any] = {"message": message, "extensions": {"code": code or "BAD_USER_INPUT"}}
    if code == Unavailable.code:
        told["extensions"]["retryAfterMs"] = RETRY_AFTER_MS
    if error.path is not None:
        told["path"] = error.path
    return told
