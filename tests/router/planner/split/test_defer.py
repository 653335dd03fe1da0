"""Deferred parts over random graphs: put together, the payloads are the answer that comes without ``@defer``."""

from __future__ import annotations

import asyncio
import json
import os
from random import Random
from typing import Any

import pytest
from graphql import execute_sync, parse, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from router.composition.compose import SubgraphInput, compose
from router.executor.execute import CompiledPlan
from router.executor.run import ExecutionContext
from router.operation.normalize import normalize
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.codec import from_json, to_json
from router.query_plan.nodes import QueryPlan
from router.query_plan.printer import print_plan
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.planner.split.incremental import DeferringMaker, merged, without_defer
from tests.router.planner.split.resolve import SubgraphServer, monolith_resolver, resolve_type
from tests.router.planner.split.world import World, make_world

EXAMPLES = int(os.environ.get("SPLIT_EXAMPLES", "20"))


async def payloads(query_plan: QueryPlan, servers: dict[str, SubgraphServer]) -> list[dict[str, Any]]:
    """All payloads of a plan's answer."""
    compiled, transports = CompiledPlan(query_plan), {name: server.transport for name, server in servers.items()}
    if not compiled.streams:
        return [json.loads(await compiled.execute({}, transports, ExecutionContext())) | {"hasNext": False}]
    return [json.loads(payload) async for payload in compiled.stream({}, transports, ExecutionContext())]


def check(world: World, random: Random, operations: int = 4) -> int:
    """Compare some operations over a world; the number of payloads, 0 if its subgraphs do not compose."""
    result = compose([SubgraphInput(name, f"http://{name}", world.sdl(name)) for name in world.subgraphs])
    if result.supergraph_sdl is None:
        return 0
    supergraph = load_supergraph(result.supergraph_sdl)
    schema, graph = api_schema(supergraph), QueryGraph(supergraph)
    servers = {name: SubgraphServer(world, name) for name in world.subgraphs}
    count = 0
    for _ in range(operations):
        source = DeferringMaker(schema, random).make()
        document, whole = parse(source), parse(without_defer(source))
        if validate(schema, document):
            continue
        query_plan = from_json(to_json(plan(graph, normalize(document, None, schema, {}), deadline=10.0)))
        expected = execute_sync(schema, whole, field_resolver=monolith_resolver(world), type_resolver=resolve_type)
        story = f"{source}\n{print_plan(query_plan)}\n" + "\n".join(map(world.sdl, world.subgraphs))
        parts = asyncio.run(payloads(query_plan, servers))
        assert merged(parts) == expected.formatted, f"expected {expected.formatted}\nparts {parts}\n{story}"
        count += len(parts)
    return count


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(random=st.randoms(use_true_random=False))
def test_deferred_parts_add_up_to_the_whole_answer(random: Random) -> None:
    """Whatever is deferred, nested or not, nothing is lost and nothing differs."""
    assume(check(make_world(random), random) > 0)


def test_a_lost_part_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle's own control: without the last payload an answer is not whole."""
    right = payloads

    async def shortened(query_plan: QueryPlan, servers: dict[str, SubgraphServer]) -> list[dict[str, Any]]:
        found = await right(query_plan, servers)
        return [*found[:-2], found[-2] | {"hasNext": False}] if len(found) > 1 else found

    def check_worlds() -> None:
        for seed in range(20):
            random = Random(seed)
            check(make_world(random), random)

    monkeypatch.setitem(globals(), "payloads", shortened)
    with pytest.raises(AssertionError, match="expected"):
        check_worlds()
