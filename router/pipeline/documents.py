"""Documents by their text: parsed, checked against the limits and validated once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    specified_rules,
    validate,
)
from graphql.validation import ASTValidationRule

from router.errors import OperationError, RequestError, RequestErrorCode
from router.operation.model import OperationKind
from router.operation.normalize import select_operation
from router.operation.passes.conditions import condition_defaults, condition_variables
from router.operation.variables import CoerceVariables, compile_variables
from router.pipeline.cost import CostModel, CostOf
from router.pipeline.deprecated import Deprecations, UsedBy
from router.pipeline.limits import check_document, check_operation, parse_limited
from router.pipeline.lru import Lru
from router.settings import Limits
from router.telemetry import Telemetry

Rule = Callable[[DocumentNode, OperationDefinitionNode], None]
"""One more limit on operations, cost for example. Raises RequestError."""

FIRST_RULES = tuple(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule)
"""What can be checked in a time that grows no faster than the document."""

LAST_RULES = (OverlappingFieldsCanBeMergedRule,)
"""What compares every field with every other: only for operations that are within their limits."""


@dataclass(frozen=True, slots=True)
class PreparedOperation:
    """One operation of a document, with all that does not depend on the request."""

    text: str
    document: DocumentNode
    definition: OperationDefinitionNode
    name: str | None
    kind: OperationKind
    fields: int
    coerce: CoerceVariables
    cost: CostOf
    conditions: tuple[str, ...]
    defaults: dict[str, bool]
    defers: bool
    """Whether it may have deferred parts."""
    deprecated: UsedBy

    def condition_values(self, variables: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
        """What ``@skip``, ``@include`` and ``@defer`` depend on: a part of the plan's key."""
        found = ((name, variables.get(name, self.defaults.get(name))) for name in self.conditions)
        return tuple((name, value) for name, value in found if isinstance(value, bool))


@dataclass(slots=True)
class Document:
    """A valid document and those of its operations that have been asked for."""

    text: str
    node: DocumentNode
    fields: dict[str | None, int]
    prepared: dict[str | None, PreparedOperation] = field(default_factory=dict)


class DocumentCache:
    """Reading and validating happen in ``pool``, so a large document does not hold up other requests."""

    def __init__(
        self,
        schema: GraphQLSchema,
        costs: CostModel,
        limits: Limits,
        size: int,
        pool: Executor,
        rules: tuple[Rule, ...] = (),
    ) -> None:
        self._schema = schema
        self._costs = costs
        self._deprecations = Deprecations(schema)
        self._limits = limits
        self._pool = pool
        self._rules = rules
        self._known: Lru[str, Document | RequestError] = Lru(size)
        self._reading: dict[str, Awaitable[Document | RequestError]] = {}
        self.telemetry: Telemetry | None = None

    def __len__(self) -> int:
        return len(self._known)

    async def operation(self, text: str, name: str | None) -> PreparedOperation:
        """The operation to execute. Raises RequestError if the document is not valid or has no such operation."""
        found = self._known.get(text)
        if self.telemetry is not None:
            self.telemetry.lookup("documents", hit=found is not None)
        if found is None:
            found = await self._read_once(text)
        if isinstance(found, RequestError):
            raise found
        prepared = found.prepared.get(name)
        if prepared is None:
            prepared = found.prepared[name] = self._prepare(found, name)
        return prepared

    async def _read_once(self, text: str) -> Document | RequestError:
        reading = self._reading.get(text)
        if reading is None:
            loop = asyncio.get_running_loop()
            reading = self._reading[text] = loop.run_in_executor(self._pool, self._read, text)
        try:
            found = await asyncio.shield(reading)
        finally:
            self._reading.pop(text, None)
        # What is too large to be read is not worth remembering.
        if len(text) <= self._limits.document_bytes:
            self._known.put(text, found)
        return found

    def _read(self, text: str) -> Document | RequestError:
        try:
            node = parse_limited(text, self._limits)
            check_document(node, self._limits)
            self._validate(node, FIRST_RULES)
            operations = [one for one in node.definitions if isinstance(one, OperationDefinitionNode)]
            fields = {_name(one): check_operation(node, one, self._limits) for one in operations}
            self._validate(node, LAST_RULES)
        except RequestError as error:
            return error
        except RecursionError:
            return RequestError(RequestErrorCode.LIMIT_EXCEEDED, "The document's fragments are nested too deeply.")
        return Document(text, node, fields)

    def _validate(self, node: DocumentNode, rules: tuple[type[ASTValidationRule], ...]) -> None:
        allowed = self._limits.validation_errors
        errors = validate(self._schema, node, rules, max_errors=allowed, hide_suggestions=True)[:allowed]
        if errors:
            raise RequestError(
                RequestErrorCode.GRAPHQL_VALIDATION_FAILED,
                *(error.message for error in errors),
                locations=tuple(tuple((p.line, p.column) for p in error.locations or ()) for error in errors),
            )

    def _prepare(self, document: Document, name: str | None) -> PreparedOperation:
        try:
            definition = select_operation(document.node, name)
            coerce = compile_variables(self._schema, definition)
        except OperationError as error:
            raise RequestError(RequestErrorCode.OPERATION_RESOLUTION_FAILURE, str(error)) from None
        for rule in self._rules:
            rule(document.node, definition)
        return PreparedOperation(
            text=document.text,
            document=document.node,
            definition=definition,
            name=_name(definition),
            kind=definition.operation.value,
            fields=document.fields[_name(definition)],
            coerce=coerce,
            cost=self._costs.compile(document.node, definition),
            conditions=tuple(sorted(condition_variables(document.node))),
            defaults=condition_defaults(definition),
            defers="defer" in document.text,
            deprecated=self._deprecations.of(document.node, definition),
        )


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None
