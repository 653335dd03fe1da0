"""The entity cache changes no answer: random graphs of which everything may be kept, asked again and again.

The first answer fills the cache, the second comes from it, the third is of another operation's leftovers too, for one
cache serves all operations over a graph. All must be the unsplit schema's.
"""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from graphql import parse

from router.executor.entity_cache.compiled import Caching
from router.executor.entity_cache.hints import Hint, Hints
from router.executor.entity_cache.memory_store import MemoryStore
from router.executor.entity_cache.policy import Policies
from router.executor.entity_cache.session import Cache, CacheSession
from router.executor.execute import CompiledPlan
from router.executor.run import ExecutionContext
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.operation.normalize import select_operation
from router.operation.variables import coerce_variables
from router.query_plan.nodes import QueryPlan
from tests.router.differential.cases import draw_graph
from tests.router.differential.compare import Bench, Difference, Graph, Refused
from tests.router.differential.interpret import Subgraph
from tests.router.differential.operations import DrawnOperation, draw_operation

SEEDS = range(900_000, 900_012)
OPERATIONS = 4


class CachedBench(Bench):
    """``saved``: requests that the cache made needless."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        supergraph = self.query_graph.supergraph
        everything = Hint(60)
        kinds = ("object", "interface", "union")
        types = {name: everything for name, type_ in supergraph.types.items() if type_.kind in kinds}
        root = supergraph.root_types.get("query", "Query")
        fields = {f"{root}.{name}": everything for name in supergraph.types[root].fields}
        self.caching = Caching(supergraph, 60)
        self.caching._hints = Hints(types, fields, {})
        self.caching._policies = Policies(supergraph, self.caching._hints, 60)
        self.store = MemoryStore(10_000_000)
        self.saved = self.requests = 0

    def federated(self, query_plan: QueryPlan, operation: DrawnOperation) -> dict[str, Any]:
        """The router's answer, asked three times: as somebody, as somebody else, as nobody."""

        document = parse(operation.source)
        variables = coerce_variables(self.schema, select_operation(document, None), operation.variables)
        compiled = CompiledPlan(query_plan, caching=self.caching)
        self.problems.clear()
        answers, requests = [], []
        for caller in (b"alice", b"bob", None):
            transports = {name: InProcessTransport(self._serving(server)) for name, server in self.servers.items()}
            self.log.clear()
            self.requests = 0
            context = ExecutionContext({"who": str(caller)}, cache=CacheSession(Cache(self.store), {}, caller, b""))
            answers.append(json.loads(asyncio.run(compiled.execute(variables, transports, context))))
            requests.append(self.requests)
        if any(json.dumps(each.get("data")) != json.dumps(answers[0].get("data")) for each in answers):
            raise Difference(f"asked again it differs: {json.dumps(answers)}\n{self.story(operation)}")
        self.saved += requests[0] - requests[-1]
        found: dict[str, Any] = answers[-1]
        return found

    def _serving(self, server: Subgraph) -> Any:
        serve = super()._serving(server)

        async def counted(request: SubgraphRequest) -> SubgraphResponse:
            self.requests += 1
            response: SubgraphResponse = await serve(request)
            return response

        return counted


def drawn(seed: int) -> tuple[CachedBench, list[DrawnOperation]]:
    """A graph and operations over it. Raises Refused."""
    random = Random(seed)
    bench = CachedBench(draw_graph(random))
    made = [draw_operation(random, bench.schema) for _ in range(OPERATIONS)]
    return bench, [operation for operation in made if operation is not None]


def compared(seeds: range) -> tuple[int, int]:
    """How many operations were compared, and how many requests the cache saved. Raises Difference."""
    done = saved = 0
    for seed in seeds:
        try:
            bench, operations = drawn(seed)
        except Refused:
            continue
        for operation in operations:
            bench.compare(operation)
            done += 1
        saved += bench.saved
    return done, saved


def test_kept_answers_are_the_unsplit_schemas() -> None:
    """Every time, and most requests were not sent."""
    done, saved = compared(SEEDS)
    assert done > 15
    assert saved > done / 2


def test_a_cache_that_mixes_things_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the representation left out of the key, one entity is given for another."""
    import orjson

    from router.executor.entity_cache import ask

    class Careless:
        loads = staticmethod(orjson.loads)
        OPT_SORT_KEYS = orjson.OPT_SORT_KEYS

        @staticmethod
        def dumps(value: Any, option: int = 0) -> bytes:
            named = isinstance(value, dict) and "__typename" in value
            return b"same" if named else orjson.dumps(value, option=option)

    monkeypatch.setattr(ask, "orjson", Careless)
    with pytest.raises(Difference):
        compared(SEEDS)
