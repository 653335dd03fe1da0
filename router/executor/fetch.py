"""One fetch: from the data to a request, and from the answer back into the data."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from opentelemetry.trace import Span

from router.errors import RequestErrorCode, SubgraphError
from router.executor.contextual import ContextCollect
from router.executor.entity_cache.ask import ask
from router.executor.failures import error_path, failed_fetch, subgraph_error
from router.executor.merge import copied, merge_object
from router.executor.paths import DataPath, Object, response_path, walk_located
from router.executor.representations import Collect, Targets, compile_collect
from router.executor.run import Run, Sent, Step
from router.executor.transport import SubgraphRequest, SubgraphResponse
from router.query_plan.nodes import EntityFetch, Fetch, Items, Key, Path
from router.telemetry import tracing

Batch = list[tuple[EntityFetch, list[Object], Targets]]
"""For each entity fetch of one request: what is sent, and where the answers go."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


def compile_fetch(fetch: Fetch, isolate: frozenset[str] = frozenset()) -> Step:
    """A fetch as a step of the execution.

    ``isolate`` names the entity fetches (by alias) whose answers must not be shared between the places they are
    merged into, because later fetches treat these places differently.
    """
    if any(entities.contexts for entities in fetch.entities):
        step = _ContextualStep(fetch, isolate).run
    elif fetch.entities:
        step = _EntityStep(fetch, isolate).run
    else:
        step = _InnerRootFetch(fetch).run if fetch.path else RootFetch(fetch).run

    async def run_fetch(run: Run) -> None:
        try:
            await step(run)
        finally:
            done = run.done.get(fetch.id)
            if done is not None:
                done.set()

    return run_fetch


def request_for(fetch: Fetch, run: Run, variables: dict[str, Any]) -> SubgraphRequest:
    """The request of a fetch, with the client's variables that it needs added to ``variables``."""
    for name in fetch.variables:
        if name in run.variables:
            variables[name] = run.variables[name]
    return SubgraphRequest(fetch.document, variables or None, None, run.context.headers, fetch.kind, run.deadline)


async def call(fetch: Fetch, run: Run, request: SubgraphRequest, representations: int) -> SubgraphResponse:
    """Send a request. Raises SubgraphError, whatever the transport did."""
    transport = run.transports.get(fetch.subgraph)
    if transport is None:
        raise SubgraphError(RequestErrorCode.SUBGRAPH_UNREACHABLE, "The subgraph is not configured.")
    kept = run.kept.get(fetch.id)
    if kept is None or run.context.cache is None:
        return await sent(fetch, run, request, transport.execute, representations)

    async def send(part: SubgraphRequest, count: int) -> SubgraphResponse:
        return await sent(fetch, run, part, transport.execute, count)

    return await ask(kept, run.context.cache, request, send)


async def sent(
    fetch: Fetch,
    run: Run,
    request: SubgraphRequest,
    send: Callable[[SubgraphRequest], Awaitable[T]],
    representations: int = 0,
) -> T:
    """Send a request, as a span of its own. Raises SubgraphError, whatever the transport did."""
    span: Span | None = None
    if run.context.telemetry is not None:
        # Subgraphs' own spans hang below the fetch's.
        span, request.headers = run.context.telemetry.tracing.fetching(fetch.subgraph, fetch.kind, request.headers)
    failed = True
    try:
        response = await _measured(fetch, run, send(request), representations)
        failed = False
        return response
    finally:
        tracing.end(span, failed=failed)


async def _measured(fetch: Fetch, run: Run, sending: Awaitable[T], representations: int) -> T:
    """Wait for a transport and take down what it cost. Raises SubgraphError, whatever the transport did."""
    started = time.perf_counter()
    failed = True
    try:
        answer = await sending
        failed = False
        return answer
    except SubgraphError:
        raise
    except Exception:
        # A transport is somebody's code: its bug must cost the client these fields, not the answer.
        logger.exception("transport of subgraph %s failed", fetch.subgraph)
        raise SubgraphError(RequestErrorCode.SUBGRAPH_ERROR, "The subgraph request failed.") from None
    finally:
        elapsed = time.perf_counter() - started
        run.sent.append(Sent(fetch.id, fetch.subgraph, elapsed * 1000, representations))
        if run.context.telemetry is not None:
            run.context.telemetry.fetch(fetch.subgraph, elapsed, failed=failed)


class RootFetch:
    """A fetch that starts at a root type."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def run(self, run: Run) -> None:
        try:
            response = await call(self._fetch, run, request_for(self._fetch, run, {}), 0)
        except SubgraphError as error:
            run.add_error(failed_fetch(error, self._fetch.subgraph, [], run.context.trace_id))
            return
        self.merge(run, response)

    def merge(self, run: Run, response: SubgraphResponse) -> None:
        """Take over an answer, or one event of a subscription."""
        if isinstance(response.data, dict):
            if run.data:
                merge_object(run.data, response.data)
            else:
                run.data.update(response.data)
        elif not response.errors:
            run.add_error(_no_data(self._fetch, run, []))
        for raw in response.errors or ():
            path = response_path(run.views, run.data, tuple(error_path(raw)))
            run.add_error(_reported(raw, self._fetch, run, path))


class _InnerRootFetch:
    """A root fetch for a field that returns the root type again: its answer belongs into every object there."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def run(self, run: Run) -> None:
        found = list(walk_located(run.data, self._fetch.path))
        if not found:
            return
        place = list(found[0][1])
        try:
            response = await call(self._fetch, run, request_for(self._fetch, run, {}), 0)
        except SubgraphError as error:
            path = response_path(run.views, run.data, tuple(place))
            run.add_error(failed_fetch(error, self._fetch.subgraph, path, run.context.trace_id))
            return
        if isinstance(response.data, dict):
            for target, _ in found:
                merge_object(target, copied(response.data))
        for raw in response.errors or ():
            path = response_path(run.views, run.data, (*place, *error_path(raw)))
            run.add_error(_reported(raw, self._fetch, run, path))


class _EntityStep:
    """A fetch through ``_entities``, of one or several fields."""

    def __init__(self, fetch: Fetch, isolate: frozenset[str]) -> None:
        self._fetch = fetch
        self._isolate = isolate
        self._collects: list[tuple[EntityFetch, Collect]] = [
            (entities, compile_collect(entities)) for entities in fetch.entities
        ]

    async def run(self, run: Run) -> None:
        whole: Batch = [(entities, *collect(run.data)) for entities, collect in self._collects]
        longest = max(len(representations) for _, representations, _ in whole)
        limit = run.context.max_representations
        if longest == 0:
            return
        if longest <= limit:
            await self._send(run, whole)
            return
        parts = [
            [(entities, sent[at : at + limit], targets[at : at + limit]) for entities, sent, targets in whole]
            for at in range(0, longest, limit)
        ]
        await asyncio.gather(*(self._send(run, part) for part in parts))

    async def _send(self, run: Run, batch: Batch, values: dict[str, Any] | None = None) -> None:
        variables: dict[str, Any] = {entities.variable: sent for entities, sent, _ in batch} | (values or {})
        count = sum(len(sent) for _, sent, _ in batch)
        try:
            response = await call(self._fetch, run, request_for(self._fetch, run, variables), count)
            self._merge(run, response, batch)
        except SubgraphError as error:
            path = response_path(run.views, run.data, _static_path(batch[0][0].paths[0]))
            run.add_error(failed_fetch(error, self._fetch.subgraph, path, run.context.trace_id))

    def _merge(self, run: Run, response: SubgraphResponse, batch: Batch) -> None:
        if isinstance(response.data, dict):
            for entities, sent, targets in batch:
                answer = response.data.get(entities.alias)
                if isinstance(answer, list) and len(answer) == len(sent):
                    self._merge_entities(answer, targets, entities.alias in self._isolate)
                elif answer is not None or (sent and not response.errors):
                    raise SubgraphError(
                        RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE,
                        "The subgraph did not answer with one entity for each representation.",
                    )
        elif not response.errors:
            run.add_error(_no_data(self._fetch, run, list(_static_path(batch[0][0].paths[0]))))
        if response.errors:
            self._report(run, response.errors, batch)

    def _merge_entities(self, answer: list[Any], targets: Targets, isolate: bool) -> None:
        for entity, groups in zip(answer, targets, strict=True):
            # Null: the subgraph does not know this entity. Its fields stay missing.
            if type(entity) is not dict:
                continue
            # Places at one path are treated alike from here on, so they may share the answer's objects.
            for index, group in enumerate(groups):
                own = copied(entity) if isolate and index else entity
                for place in group:
                    merge_object(place, own)

    def _report(self, run: Run, errors: list[Any], batch: Batch) -> None:
        located: dict[int, list[DataPath]] = {}
        for entities, _, _ in batch:
            for path in entities.paths:
                for found, at in walk_located(run.data, path):
                    known = located.setdefault(id(found), [])
                    if at not in known:
                        known.append(at)
        by_alias = {entities.alias: targets for entities, _, targets in batch}
        for raw in errors:
            below = error_path(raw)
            targets = by_alias.get(str(below[0]), []) if below else []
            index = below[1] if len(below) > 1 else None
            if isinstance(index, int) and 0 <= index < len(targets):
                places = (place for group in targets[index] for place in group)
                at_all = {at: None for place in places for at in located.get(id(place), [])}
                for at in at_all:
                    where = response_path(run.views, run.data, (*at, *below[2:]))
                    run.add_error(_reported(raw, self._fetch, run, where))
            else:
                where = response_path(run.views, run.data, _static_path(batch[0][0].paths[0]))
                run.add_error(_reported(raw, self._fetch, run, where))


class _ContextualStep(_EntityStep):
    """An entity fetch whose variables depend on what stands above the entities."""

    def __init__(self, fetch: Fetch, isolate: frozenset[str]) -> None:
        super().__init__(fetch, isolate)
        self._entities = fetch.entities[0]
        self._parts = ContextCollect(self._entities)

    async def run(self, run: Run) -> None:
        parts = self._parts(run.data)
        await asyncio.gather(*(self._send(run, [(self._entities, sent, at)], values) for values, sent, at in parts))


def _static_path(path: Path) -> DataPath:
    """The part of a plan's path that is the same for all objects it leads to."""
    steps: list[str | int] = []
    for segment in path:
        if isinstance(segment, Items):
            break
        if isinstance(segment, Key):
            steps.append(segment.name)
    return tuple(steps)


def _no_data(fetch: Fetch, run: Run, path: list[str | int]) -> dict[str, Any]:
    error = SubgraphError(RequestErrorCode.SUBGRAPH_MALFORMED_RESPONSE, "The subgraph answered without data.")
    return failed_fetch(error, fetch.subgraph, path, run.context.trace_id)


def _reported(raw: Any, fetch: Fetch, run: Run, path: list[str | int]) -> dict[str, Any]:
    return subgraph_error(raw, fetch.subgraph, path, run.context.trace_id, details=run.context.error_details)
