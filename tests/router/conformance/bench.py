"""Runs operations through the whole router: composed here or elsewhere, planned, executed, projected."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from graphql import execute_sync, parse, validate

from router.composition.compose import SubgraphInput, compose
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.addresses import Addresses
from router.pipeline.auth import TokenVerifier
from router.pipeline.buckets import MemoryBuckets
from router.pipeline.callers import Callers
from router.pipeline.clients import Clients
from router.pipeline.lookup import LookUp
from router.pipeline.pipeline import Answer, Graph, Pipeline
from router.pipeline.rate_limits import RateLimiter
from router.pipeline.request import GraphQLRequest
from router.pipeline.signed_in import EndedSessions
from router.settings import CostSettings, Settings
from router.supergraph.load import load_supergraph
from tests.router.conformance.rows import Row, Rows
from tests.router.conformance.subgraph import Monolith, Subgraph, resolve_type, taken_over

FEDERATION = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.11", import: ["@key", "@shareable", "@external", '
    '"@requires", "@provides", "@override", "@inaccessible", "@interfaceObject", "@context", "@fromContext", "@tag"])\n'
)


@dataclass
class Asked:
    """An operation and the answer expected of it. ``requests``: how many, where that matters."""

    source: str
    variables: dict[str, Any] = field(default_factory=dict)
    expected: Any = None
    requests: int | None = None


@dataclass
class Case:
    """A graph with its data, and operations on it. ``own`` is what single subgraphs know differently."""

    subgraphs: dict[str, str]
    rows: Rows
    own: dict[str, dict[str, Row | None]] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()
    asked: list[Asked] = field(default_factory=list)

    def linked(self) -> dict[str, str]:
        """The subgraphs; those that link nothing and are not marked as Federation 1 get Federation 2."""
        return {
            name: sdl if "@link" in sdl or "# v1" in sdl else FEDERATION + sdl for name, sdl in self.subgraphs.items()
        }


def composed(case: Case) -> str:
    """The case's supergraph."""
    result = compose([SubgraphInput(name, f"http://{name}", sdl) for name, sdl in case.linked().items()])
    assert result.supergraph_sdl is not None, "\n".join(map(str, result.errors))
    return result.supergraph_sdl


class Bench:
    """A case ready for operations."""

    def __init__(self, case: Case, supergraph_sdl: str) -> None:
        self.case = case
        self.log: list[tuple[str, str, Any]] = []
        self.problems: list[str] = []
        taken = taken_over(case.linked(), case.labels)
        self.subgraphs = {
            name: Subgraph(name, sdl, case.rows, case.own.get(name), taken[name]) for name, sdl in case.linked().items()
        }
        settings = Settings(dev=True, override_labels=tuple(case.labels), cost=CostSettings(enabled=False))
        self.graph = Graph(load_supergraph(supergraph_sdl), settings, ThreadPoolExecutor(1))
        transports = {name: InProcessTransport(*self._serving(one)) for name, one in self.subgraphs.items()}
        addresses = Addresses(())
        limiter = RateLimiter(settings.rate_limits, MemoryBuckets(1), addresses)
        callers = Callers(Clients(settings), TokenVerifier(settings.tokens, None), limiter, EndedSessions())
        self.pipeline = Pipeline(self.graph, settings, transports, callers, LookUp(None), addresses)

    async def answer(self, asked: Asked) -> Any:
        """The router's answer; for a subscription and for deferred parts a list of payloads."""
        self.log.clear()
        self.problems.clear()
        request = GraphQLRequest(query=asked.source, variables=asked.variables)
        answer = await self.pipeline.answer(request, {"x-router-plan": "1"})
        if isinstance(answer, Answer):
            return json.loads(answer.body)
        payloads = [json.loads(payload) async for payload in answer.payloads]
        return payloads if answer.subscription else _put_together(payloads)

    def expected(self, asked: Asked) -> Any:
        """What the unsplit graph answers."""
        monolith = Monolith(self.graph.schema, self.case.rows)
        result = execute_sync(
            monolith.schema,
            parse(re.sub(r"@defer(\([^)]*\))?", "", asked.source)),
            variable_values=asked.variables,
            field_resolver=monolith.resolve,
            type_resolver=resolve_type,
        )
        return result.formatted

    def _serving(self, server: Subgraph) -> tuple[Any, Any]:
        async def execute(request: SubgraphRequest) -> SubgraphResponse:
            return self.serve(server, request.query, request.variables or {})

        async def subscribe(request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
            events = server.own_store.root("subscription")["@events"]
            for event in events:
                server.own_store.rows["subscription"] = {**event, "@events": events}
                yield self.serve(server, request.query, request.variables or {})

        return execute, subscribe

    def serve(self, server: Subgraph, query: str, variables: Mapping[str, Any]) -> SubgraphResponse:
        """A subgraph's answer. What it should not have been asked is taken down in ``problems``."""
        self.log.append((server.name, query, variables))
        document = parse(query)
        errors = validate(server.schema, document)
        if errors:
            self.problems.append(f"{server.name} cannot understand {query}: {errors[0]}")
            return SubgraphResponse(None, [{"message": "not valid"}])
        result = execute_sync(
            server.schema,
            document,
            variable_values=dict(variables),
            field_resolver=server.resolve,
            type_resolver=resolve_type,
        )
        self.problems += [str(error.message) for error in result.errors or () if "asked" in str(error.message)]
        raw = json.loads(json.dumps(result.data))
        return SubgraphResponse(raw, [error.formatted for error in result.errors or ()] or None)  # type: ignore[misc]


def _put_together(payloads: list[Any]) -> Any:
    """One answer from its deferred parts."""
    whole, *rest = payloads
    assert [payload["hasNext"] for payload in payloads] == [True] * len(rest) + [False]
    for part in (part for payload in rest for part in payload.get("incremental", ())):
        place = whole["data"]
        for step in part["path"]:
            place = place[step]
        if part["data"] is not None:
            _add(place, part["data"])
        if part.get("errors"):
            whole.setdefault("errors", []).extend(part["errors"])
    return whole


def _add(place: Any, data: Any) -> None:
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(place.get(key), dict):
            _add(place[key], value)
        elif isinstance(value, list) and isinstance(place.get(key), list):
            for mine, other in zip(place[key], value, strict=True):
                if isinstance(mine, dict):
                    _add(mine, other)
        else:
            assert key not in place or place[key] == value
            place[key] = value


def same_answer(found: Any, expected: Any) -> bool:
    """Whether the data are the same, order included, and there are errors where some are expected."""
    if isinstance(found, list):
        return json.dumps(found) == json.dumps(expected)
    deferred = "hasNext" in found  # parts may come in any order
    one, other = (json.dumps(answer.get("data"), sort_keys=deferred) for answer in (found, expected))
    return one == other and bool(found.get("errors")) == bool(expected.get("errors"))
