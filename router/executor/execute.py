"""Running a query plan. A plan is compiled once, and kept with its operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from router.errors import RequestErrorCode, SubgraphError
from router.executor.completion import Error
from router.executor.decode import decode_response
from router.executor.deferred import CompiledDeferred, DeferredParts, compile_deferred
from router.executor.entity_cache.compiled import Caching
from router.executor.failures import failed_fetch
from router.executor.fetch import RootFetch, compile_fetch, request_for, sent
from router.executor.json_bytes import write_json
from router.executor.passthrough import RawTransport, data_of, verbatim_fetch
from router.executor.paths import in_shape
from router.executor.projection import compile_projection
from router.executor.run import ExecutionContext, Run, Step
from router.executor.sharing import all_fetches, isolated_entities
from router.executor.transport import SubgraphResponse, Transport
from router.query_plan.nodes import Defer, DeferredNode, Fetch, Parallel, PlanNode, QueryPlan, Subscription
from router.query_plan.nodes import Sequence as SequenceNode
from router.telemetry import tracing
from router.telemetry.tracing import Tracing

Data = dict[str, Any]
Transports = Mapping[str, Transport]


async def execute_plan(
    plan: QueryPlan, variables: Mapping[str, Any], transports: Transports, context: ExecutionContext
) -> bytes:
    """Compile and run a query or mutation once: for tools and tests."""
    return await CompiledPlan(plan).execute(variables, transports, context)


class CompiledPlan:
    """A plan, ready to run any number of times, also at once."""

    def __init__(
        self,
        plan: QueryPlan,
        root_order: tuple[str, ...] = (),
        errors: Sequence[Error] = (),
        caching: Caching | None = None,
    ) -> None:
        """``errors`` are in every answer; ``root_order`` is the client's order of root fields, needed where the
        router answers some of them itself. ``caching``: what may come from the cache; only queries ask it, for who
        has changed something, or is told of a change, wants to see it."""
        self.plan = plan
        self._root_order = root_order
        self._errors = errors
        self._project = compile_projection(plan.shape)
        self._isolated = isolated_entities(plan.node)
        self._fetches = frozenset(fetch.id for fetch in all_fetches(plan.node))
        fetches = all_fetches(plan.node) if plan.kind == "query" else ()
        found = {fetch.id: caching.of(fetch) for fetch in fetches} if caching is not None else {}
        self._kept = {id: kept for id, kept in found.items() if kept is not None}
        self._verbatim = None if errors or self._kept else verbatim_fetch(plan)
        self._deferred: list[CompiledDeferred] = []
        self._source: Fetch | None = None
        node = plan.node
        if isinstance(node, Subscription):
            self._source, node = node.primary, node.rest
        self._step = self._compile(node) if node is not None else _nothing
        self._views = (((), plan.shape), *(part.view for part in self._deferred))

    @property
    def keeps(self) -> bool:
        """Whether a cache may help with it."""
        return bool(self._kept)

    @property
    def streams(self) -> bool:
        """Whether the answer comes in several payloads."""
        return self._source is not None or bool(self._deferred)

    async def execute(
        self,
        variables: Mapping[str, Any],
        transports: Transports,
        context: ExecutionContext,
        known: Data | None = None,
    ) -> bytes:
        """The whole answer as JSON bytes. ``known`` is the part of it that the router has answered itself.

        Deferred parts are run too, and left out: use ``stream`` for plans that have them.
        """
        run = self._run(variables, transports, context)
        if self._verbatim is not None and context.report is None:
            transport = transports.get(self._verbatim.subgraph)
            if getattr(transport, "trusted", False):
                return await self._pass_through(self._verbatim, cast(RawTransport, transport), run)
        await self._step(run)
        return self._answer(run, known)

    async def stream(
        self,
        variables: Mapping[str, Any],
        transports: Transports,
        context: ExecutionContext,
        known: Data | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The payloads of a subscription, or of an answer with deferred parts."""
        run = self._run(variables, transports, context)
        payloads = self._events(run) if self._source is not None else self._increments(run, known)
        async with aclosing(payloads):
            async for payload in payloads:
                yield payload

    async def _pass_through(self, fetch: Fetch, transport: RawTransport, run: Run) -> bytes:
        try:
            body = await sent(fetch, run, request_for(fetch, run, {}), transport.execute_raw)
            answer = data_of(body)
            if answer is not None:
                return answer
            RootFetch(fetch).merge(run, decode_response(body))
        except SubgraphError as error:
            run.add_error(failed_fetch(error, fetch.subgraph, [], run.context.trace_id))
        return self._answer(run)

    async def _events(self, base: Run) -> AsyncGenerator[bytes, None]:
        source = self._source
        assert source is not None
        root, request = RootFetch(source), request_for(source, base, {})
        traces = base.context.telemetry.tracing if base.context.telemetry is not None else Tracing(None)
        span, request.headers = traces.fetching(source.subgraph, source.kind, request.headers)
        failed = False
        try:
            transport = base.transports.get(source.subgraph)
            if transport is None:
                raise SubgraphError(RequestErrorCode.SUBGRAPH_UNREACHABLE, "The subgraph is not configured.")
            async with _closing(transport.subscribe(request)) as events:
                async for event in events:
                    # What an event needs is fetched below the event, not below a stream that lives for hours.
                    with traces.event(source.subgraph, base.context.headers) as headers:
                        context = replace(base.context, headers=headers)
                        run = self._run(base.variables, base.transports, context)
                        root.merge(run, event)
                        await self._step(run)
                        answer = self._answer(run)
                    yield answer
        except SubgraphError as error:
            # The stream is over: clients learn why, and may subscribe again.
            failed = True
            told = failed_fetch(error, source.subgraph, [], base.context.trace_id)
            yield write_json({"data": None, "errors": [told]})
        finally:
            tracing.end(span, failed=failed)

    async def _increments(self, run: Run, known: Data | None) -> AsyncGenerator[bytes, None]:
        # Tasks of our own, not a task group: a stream may be read, and left, by other tasks than the one it began in.
        parts = DeferredParts(self._deferred, run, _after(run.context.deferred_timeout))
        try:
            await self._step(run)
            late = [error for error in run.errors if not in_shape(self.plan.shape, error.get("path", ()))]
            run.errors = [error for error in run.errors if error not in late]
            first = self._result(run, known)
            if first["data"] is None:
                yield write_json({**first, "hasNext": False})
                return
            yield write_json({**first, "hasNext": True})
            async for payload in parts.payloads(first["data"], late):
                yield write_json(payload)
        finally:
            await parts.close()

    def _run(self, variables: Mapping[str, Any], transports: Transports, context: ExecutionContext) -> Run:
        errors = [{**error, "path": list(error["path"])} for error in self._errors]
        deadline = _after(context.timeout)
        return Run({}, self._views, variables, transports, context, errors, kept=self._kept, deadline=deadline)

    def _answer(self, run: Run, known: Data | None = None) -> bytes:
        try:
            return write_json(self._result(run, known))
        except RecursionError:
            code = RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE
            error = {"message": "A subgraph's answer is nested too deeply.", "extensions": {"code": code}}
            return write_json({"data": None, "errors": [error]})

    def _result(self, run: Run, known: Data | None) -> Data:
        errors = run.errors
        data = self._project(run.data, errors)
        if known and data is not None:
            found = {**data, **known}
            data = {name: found.pop(name) for name in self._root_order if name in found} | found
        result: Data = {"data": data}
        if errors:
            result["errors"] = errors
        if run.context.report is not None:
            result["extensions"] = run.context.report(run.sent)
        return result

    def _compile(self, node: PlanNode, parent: int | None = None) -> Step:
        match node:
            case Fetch():
                return compile_fetch(node, self._isolated.get(node.id, frozenset()))
            case SequenceNode(nodes):
                return _sequence([self._compile(child, parent) for child in nodes])
            case Parallel(nodes):
                return _parallel([self._compile(child, parent) for child in nodes])
            case Defer(primary, deferred):
                for part in deferred:
                    self._compile_deferred(part, parent)
                return self._compile(primary, parent) if primary is not None else _nothing
            case Subscription():
                raise ValueError("a subscription stands only at the top of a plan")

    def _compile_deferred(self, part: DeferredNode, parent: int | None) -> None:
        index = len(self._deferred)
        self._deferred.append(compile_deferred(part, _nothing, self._fetches, parent))
        if part.node is not None:
            self._deferred[index] = replace(self._deferred[index], step=self._compile(part.node, index))


def _after(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


@asynccontextmanager
async def _closing(events: AsyncIterator[SubgraphResponse]) -> AsyncIterator[AsyncIterator[SubgraphResponse]]:
    """End the subgraph's stream when the client's ends."""
    try:
        yield events
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def _nothing(run: Run) -> None:
    """No fetch is needed."""


def _sequence(steps: list[Step]) -> Step:
    async def run_all(run: Run) -> None:
        for step in steps:
            await step(run)

    return run_all


def _parallel(steps: list[Step]) -> Step:
    async def run_all(run: Run) -> None:
        await asyncio.gather(*(step(run) for step in steps))

    return run_all
