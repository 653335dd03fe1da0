"""A request on its way: the stages in their order, each remembered by what it depends on.

callers     which program, which person
lookup      the document's text: sent along, or persisted
documents   parsed, limited, validated
variables   coerced
plans       normalised, restricted to what the caller may read, planned, compiled
execute     the answer's bytes
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import GraphQLSchema

from router.errors import RequestError, RequestErrorCode, VariablesError
from router.executor.entity_cache.compiled import Caching
from router.executor.entity_cache.session import Cache
from router.executor.execute import CompiledPlan
from router.executor.json_bytes import write_json
from router.executor.run import ExecutionContext
from router.executor.transport import Transport
from router.pipeline.addresses import FORWARDED_FOR, Addresses
from router.pipeline.auth import Identity
from router.pipeline.caching import Sessions
from router.pipeline.callers import Caller, Callers
from router.pipeline.claims import ClaimsSigner
from router.pipeline.cost import CostModel, check_cost
from router.pipeline.cost_weights import read_weights
from router.pipeline.documents import DocumentCache, PreparedOperation, Rule
from router.pipeline.introspection import answer_introspection, refuse_introspection
from router.pipeline.limits import check_fields
from router.pipeline.lookup import LookUp
from router.pipeline.plan_cache import Choice, OverrideLabels, PlanCache, ReadyPlan
from router.pipeline.policies import Policies
from router.pipeline.report import reporter
from router.pipeline.request import GraphQLRequest
from router.pipeline.signed_in import while_signed_in
from router.settings import Settings
from router.supergraph.api_schema import api_schema
from router.supergraph.model import Supergraph
from router.telemetry import Telemetry, tracing
from router.telemetry.observed import Seen, observed

PLAN_HEADER = "router-plan"

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer with the HTTP status it deserves; ``malformed``: with any media type."""

    body: bytes
    status: int = 200
    malformed: bool = False
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in payloads: the events of a subscription, or deferred parts (``subscription`` false)."""

    payloads: AsyncGenerator[bytes, None]
    subscription: bool


class Graph:
    """One supergraph, ready to answer: replaced as a whole when the supergraph changes."""

    def __init__(
        self, supergraph: Supergraph, settings: Settings, pool: Executor, rules: tuple[Rule, ...] = ()
    ) -> None:
        self.supergraph = supergraph
        self.schema: GraphQLSchema = api_schema(supergraph)
        costs = CostModel(self.schema, read_weights(supergraph), settings.cost)
        self.documents = DocumentCache(self.schema, costs, settings.limits, settings.document_cache, pool, rules)
        caching = Caching(supergraph, settings.cache.max_age) if settings.cache.enabled else None
        self.plans = PlanCache(supergraph, self.schema, settings.plan_cache, pool, settings.planning_timeout, caching)
        self.labels = OverrideLabels(supergraph, frozenset(settings.override_labels))


class Pipeline:
    """Answers requests to one graph."""

    def __init__(
        self,
        graph: Graph,
        settings: Settings,
        transports: Mapping[str, Transport],
        callers: Callers,
        look_up: LookUp,
        addresses: Addresses,
        telemetry: Telemetry | None = None,
        cache: Cache | None = None,
        policies: Policies | None = None,
    ) -> None:
        self._policies = policies or Policies(settings)
        self._graph = graph
        self._settings = settings
        self._transports = transports
        self._callers = callers
        self._look_up = look_up
        self._addresses = addresses
        self._telemetry = telemetry
        graph.documents.telemetry = graph.plans.telemetry = telemetry
        secret = settings.claims_secret
        self._claims = ClaimsSigner(secret.get_secret_value(), settings.claims_lifetime) if secret else None
        self._sessions = Sessions(cache, settings, self._claims) if cache is not None else None
        hidden = {*settings.strip_headers, settings.claims_header.lower(), "authorization", "cookie", "host"}
        hidden.add(settings.api_key_header.lower())
        self._tells_address = FORWARDED_FOR in settings.forward_headers and FORWARDED_FOR not in hidden
        hidden.add(FORWARDED_FOR)
        self._forwarded = tuple(name for name in settings.forward_headers if name not in hidden)

    @property
    def graph(self) -> Graph:
        """What is served."""
        return self._graph

    @property
    def schema(self) -> GraphQLSchema:
        """What clients may ask for."""
        return self._graph.schema

    async def identify(self, headers: Headers) -> Caller:
        """Who sends these headers. Raises RequestError for a token or key that is not valid."""
        return await self._callers.identify(headers)

    async def answer(
        self, request: GraphQLRequest, headers: Headers, *, only_queries: bool = False, defer: bool = True
    ) -> Answer | Stream:
        """Answer a request; errors of the request become an answer too.

        ``only_queries`` holds for HTTP GET. ``defer``: the client can take deferred parts; otherwise they are answered
        with the rest.
        """
        trace_id = tracing.trace_id_of(headers.get(tracing.HEADER))
        if trace_id is None:
            headers = dict(headers)
            trace_id = tracing.ensure_trace(headers)
        with observed(self._telemetry, request.operation_name, trace_id) as seen:
            try:
                return await self._answer(request, headers, trace_id, only_queries, defer, seen)
            except RequestError as error:
                seen.refused(error.code.value)
                return refusal(error, trace_id)

    async def _answer(
        self,
        request: GraphQLRequest,
        headers: Headers,
        trace_id: str,
        only_queries: bool,
        defer: bool,
        seen: Seen,
    ) -> Answer | Stream:
        settings = self._settings
        caller = await self._callers.admit(headers)
        identity = caller.identity
        found = await self._look_up.find(request, caller.client)
        operation = await self._graph.documents.operation(found.text, request.operation_name)
        seen.name, seen.kind = operation.name, operation.kind
        if found.register is not None:
            await self._look_up.register(found)
        if only_queries and operation.kind != "query":
            message = f"A {operation.kind} cannot be sent with GET."
            raise RequestError(RequestErrorCode.BAD_REQUEST, message, status=405, malformed=True)
        check_fields(operation.fields, settings.limits, signed_in=identity.subject is not None)
        variables = _coerced(operation, request.variables)
        cost = self._affordable(operation, variables, caller)
        ready = await self._plan(operation, variables, caller, headers, defer)
        if self._telemetry is not None:
            published = operation.name if found.persisted is not None or request.trusted else None
            self._telemetry.usage.used(caller.client.name, published, operation.deprecated(request.variables))
        known = await self._introspection(ready, variables)
        context = self._context(identity, headers, trace_id, ready, cost)
        result = await self._run(ready.compiled, variables, context, known)
        if isinstance(result, Stream) and result.subscription and identity.subject is not None:
            sessions = self._callers.ended_sessions
            return Stream(while_signed_in(result.payloads, identity, sessions), subscription=True)
        return result

    def _affordable(self, operation: PreparedOperation, variables: dict[str, Any], caller: Caller) -> int:
        """What the operation is estimated to cost. Raises RequestError if that is more than the caller may spend."""
        cost, settings = operation.cost(variables), self._settings.cost
        if settings.enabled:
            limit = settings.anonymous if caller.identity.subject is None else settings.signed_in
            check_cost(cost, limit if caller.client.cost is None else caller.client.cost)
        return cost

    async def _plan(
        self, operation: PreparedOperation, variables: dict[str, Any], caller: Caller, headers: Headers, defer: bool
    ) -> ReadyPlan:
        graph, identity = self._graph, caller.identity
        conditions, defer = operation.condition_values(variables), defer and operation.defers
        policies = identity.policies
        if self._policies.asks:
            met = await graph.plans.policies(operation, conditions, defer)
            seen = partial(self._passed, headers)
            policies = await self._policies.fulfilled(met, caller, operation.name, operation.kind, seen)
        granted = graph.plans.rules.granted(identity, policies)
        choice = Choice(conditions, granted, graph.labels.roll(), defer)
        ready = await graph.plans.plan(operation, choice)
        if ready.denials:
            code = RequestErrorCode.UNAUTHENTICATED if identity.subject is None else RequestErrorCode.FORBIDDEN
            raise RequestError(code, *ready.denials, status=200)
        return ready

    async def _introspection(self, ready: ReadyPlan, variables: dict[str, Any]) -> dict[str, Any] | None:
        if ready.introspection is None:
            return None
        if not self._settings.answers_introspection:
            raise refuse_introspection()
        return answer_introspection(self._graph.schema, ready.introspection, variables)

    def _context(
        self, identity: Identity, headers: Headers, trace_id: str | None, ready: ReadyPlan, cost: int
    ) -> ExecutionContext:
        settings = self._settings
        passed = self._passed(headers)
        if self._claims is not None:
            passed[settings.claims_header] = self._claims.header(identity)
        context = ExecutionContext(passed, trace_id, settings.dev, settings.limits.representations)
        context.telemetry = self._telemetry
        streams = ready.compiled.plan.kind == "subscription"
        context.timeout = settings.event_timeout if streams else settings.request_timeout
        context.deferred_timeout = settings.deferred_timeout
        if self._sessions is not None and ready.compiled.keeps:
            context.cache = self._sessions.open(identity, passed)
        if settings.dev and headers.get(PLAN_HEADER):
            context.report = reporter(ready.plan, cost)
        return context

    def _passed(self, headers: Headers) -> dict[str, str]:
        """Of a request's headers, those that others may see."""
        passed = {name: headers[name] for name in self._forwarded if name in headers}
        if self._tells_address and (address := self._addresses.of(headers)) is not None:
            passed[FORWARDED_FOR] = address
        return passed

    async def _run(
        self, plan: CompiledPlan, variables: dict[str, Any], context: ExecutionContext, known: dict[str, Any] | None
    ) -> Answer | Stream:
        if plan.streams:
            payloads = plan.stream(variables, self._transports, context, known)
            return Stream(payloads, subscription=plan.plan.kind == "subscription")
        return Answer(await plan.execute(variables, self._transports, context, known))


def refusal(error: RequestError, trace_id: str | None = None) -> Answer:
    """The answer to a refused request."""
    extensions = {"code": error.code.value, **error.extensions} | ({"traceId": trace_id} if trace_id else {})
    errors: list[dict[str, Any]] = []
    for index, message in enumerate(error.messages):
        entry: dict[str, Any] = {"message": message}
        if index < len(error.locations) and error.locations[index]:
            entry["locations"] = [{"line": line, "column": column} for line, column in error.locations[index]]
        entry["extensions"] = extensions
        errors.append(entry)
    # Without "data": the request was refused before it was executed (GraphQL specification, 7.1).
    return Answer(write_json({"errors": errors}), error.status, error.malformed, error.retry_after)


def _coerced(operation: PreparedOperation, raw: dict[str, Any]) -> dict[str, Any]:
    try:
        return operation.coerce(raw)
    except VariablesError as error:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, *error.messages) from None
    except RecursionError:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, "The variables are nested too deeply.") from None
