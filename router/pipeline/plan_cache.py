"""Plans, compiled and kept by everything that can change them."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter

from graphql import GraphQLSchema

from router.errors import OperationError, PlanningError, RequestError, RequestErrorCode
from router.executor.entity_cache.compiled import Caching
from router.executor.execute import CompiledPlan
from router.operation.model import Field, Operation
from router.operation.normalize import normalize
from router.pipeline.authorization import AuthorizationRules, Granted, restore
from router.pipeline.documents import PreparedOperation
from router.pipeline.lru import Lru
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.nodes import QueryPlan
from router.supergraph.model import Supergraph
from router.telemetry import Telemetry

PERCENT = re.compile(r"percent\((\d+(?:\.\d+)?)\)")

NO_POLICIES: frozenset[str] = frozenset()

Conditions = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a request, besides its document, can change the plan.

    ``conditions`` are the values of the variables behind ``@skip``, ``@include`` and ``@defer``; ``labels`` the active
    override labels; ``defer`` tells whether the client can take deferred parts at all.
    """

    conditions: Conditions
    granted: Granted
    labels: frozenset[str]
    defer: bool


PlanKey = tuple[str, str | None, Choice]


@dataclass(slots=True)
class ReadyPlan:
    """A plan with what the pipeline has to know of it."""

    compiled: CompiledPlan
    introspection: str | None
    denials: tuple[str, ...] = ()
    """Why the operation must not run at all: a root field of a mutation or subscription is not allowed."""
    uses: int = 0
    """How often it was found."""

    @property
    def plan(self) -> QueryPlan:
        """The plan itself, for those who want to read it."""
        return self.compiled.plan


class OverrideLabels:
    """Which labels of progressive ``@override`` are active: set by the operator, or rolled for each request."""

    def __init__(self, supergraph: Supergraph, active: frozenset[str]) -> None:
        found = {
            join.label
            for type_ in supergraph.types.values()
            for field in type_.fields.values()
            for join in field.joins.values()
            if join.label is not None
        }
        self._active = frozenset(found & active)
        self._rolled = {label: float(match[1]) for label in found if (match := PERCENT.fullmatch(label))}

    def roll(self) -> frozenset[str]:
        """The labels for one request. ``percent(5)`` is active in five requests of a hundred."""
        if not self._rolled:
            return self._active
        share = random.random() * 100
        return self._active.union(label for label, percent in self._rolled.items() if share < percent)


class PlanCache:
    """Planning happens in ``pool``, once for requests that ask for the same at once."""

    def __init__(
        self,
        supergraph: Supergraph,
        schema: GraphQLSchema,
        size: int,
        pool: Executor,
        planning_timeout: float,
        caching: Caching | None = None,
    ) -> None:
        self._supergraph = supergraph
        self._schema = schema
        self._pool = pool
        self._timeout = planning_timeout
        self.size = size
        """How many plans it keeps."""
        self._caching = caching
        self._graphs: dict[frozenset[str], QueryGraph] = {}
        self._known: Lru[PlanKey, ReadyPlan] = Lru(size)
        self._planning: dict[PlanKey, Awaitable[ReadyPlan]] = {}
        self._policies: Lru[tuple[str, str | None, Conditions, bool], frozenset[str]] = Lru(size)
        self.rules = AuthorizationRules(supergraph)
        self.telemetry: Telemetry | None = None

    def __len__(self) -> int:
        return len(self._known)

    def hottest(self, count: int) -> list[PlanKey]:
        """What the most used plans are for."""
        ranked = sorted(self._known.items(), key=lambda item: item[1].uses, reverse=True)
        return [key for key, _ in ranked[:count]]

    async def plan(self, operation: PreparedOperation, choice: Choice) -> ReadyPlan:
        """The plan of an operation. Raises RequestError."""
        key = (operation.text, operation.name, choice)
        found = self._known.get(key)
        if self.telemetry is not None:
            self.telemetry.lookup("plans", hit=found is not None)
        if found is not None:
            found.uses += 1
            return found
        planning = self._planning.get(key)
        if planning is None:
            loop = asyncio.get_running_loop()
            planning = loop.run_in_executor(self._pool, self._make, operation, choice)
            self._planning[key] = planning
        try:
            made = await asyncio.shield(planning)
        finally:
            self._planning.pop(key, None)
        self._known.put(key, made)
        return made

    async def policies(self, operation: PreparedOperation, conditions: Conditions, defer: bool) -> frozenset[str]:
        """The policies that an operation meets. Raises RequestError."""
        if not self.rules.have_policies:
            return NO_POLICIES
        key = (operation.text, operation.name, conditions, defer)
        found = self._policies.get(key)
        if found is None:
            loop = asyncio.get_running_loop()
            normalized = await loop.run_in_executor(self._pool, self._normalized, operation, conditions, defer)
            found = self.rules.policies_of(normalized)
            self._policies.put(key, found)
        return found

    def _normalized(self, prepared: PreparedOperation, conditions: Conditions, defer: bool) -> Operation:
        try:
            return normalize(prepared.document, prepared.name, self._schema, dict(conditions), defer=defer)
        except OperationError as error:
            raise RequestError(RequestErrorCode.OPERATION_RESOLUTION_FAILURE, str(error)) from None

    def _make(self, prepared: PreparedOperation, choice: Choice) -> ReadyPlan:
        graph = self._graphs.get(choice.labels)
        if graph is None:
            graph = self._graphs[choice.labels] = QueryGraph(self._supergraph, choice.labels)
        operation = self._normalized(prepared, choice.conditions, choice.defer)
        try:
            restricted = self.rules.restrict(operation, choice.granted)
            started = perf_counter()
            made = plan(graph, restricted.operation, deadline=self._timeout)
            if self.telemetry is not None:
                self.telemetry.planned(perf_counter() - started)
        except PlanningError as error:
            raise RequestError(RequestErrorCode.QUERY_PLANNING_FAILED, str(error), status=500) from None
        if restricted.errors:
            made = restore(made)
        order = tuple(selection.response_name for selection in operation.selections if isinstance(selection, Field))
        compiled = CompiledPlan(made, order, restricted.errors, self._caching)
        refused = restricted.root_denied and operation.kind != "query"
        denials = tuple(error["message"] for error in restricted.errors) if refused else ()
        return ReadyPlan(compiled, made.introspection, denials)
