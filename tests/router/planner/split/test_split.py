"""The planner's oracle: over small random graphs the federated answer equals that of the unsplit schema."""

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
from router.executor.execute import execute_plan
from router.executor.run import ExecutionContext
from router.operation.normalize import normalize
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.codec import from_json, to_json
from router.query_plan.printer import print_plan
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.planner.split.operations import OperationMaker
from tests.router.planner.split.resolve import SubgraphServer, monolith_resolver, resolve_type
from tests.router.planner.split.world import FieldSpec, World, make_world

EXAMPLES = int(os.environ.get("SPLIT_EXAMPLES", "100"))


def check(world: World, random: Random, operations: int = 4) -> bool:
    """Compare some operations over a world; False if its subgraphs do not compose."""
    result = compose([SubgraphInput(name, f"http://{name}", world.sdl(name)) for name in world.subgraphs])
    if result.supergraph_sdl is None:
        return False
    supergraph = load_supergraph(result.supergraph_sdl)
    schema, graph = api_schema(supergraph), QueryGraph(supergraph)
    servers = {name: SubgraphServer(world, name) for name in world.subgraphs}
    for _ in range(operations):
        source = OperationMaker(schema, random).make()
        document = parse(source)
        if validate(schema, document):
            continue
        query_plan = plan(graph, normalize(document, None, schema, {}), deadline=10.0)
        transports = {name: server.transport for name, server in servers.items()}
        answer = asyncio.run(execute_plan(from_json(to_json(query_plan)), {}, transports, ExecutionContext()))
        expected = execute_sync(
            schema, document, field_resolver=monolith_resolver(world), type_resolver=resolve_type
        ).formatted
        found = json.loads(answer)
        story = f"found {found}\nexpected {expected}\n{source}\n{print_plan(query_plan)}\n" + "\n".join(
            map(world.sdl, world.subgraphs)
        )
        assert json.dumps(found) == json.dumps(expected), story
    return True


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(random=st.randoms(use_true_random=False))
def test_the_federated_answer_is_the_unsplit_answer(random: Random) -> None:
    """However a graph is split over subgraphs, clients cannot tell from the answers."""
    assume(check(make_world(random), random))


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle's own control: a subgraph that answers one field wrongly is found out within a few worlds."""

    def wrong(server: SubgraphServer, f: FieldSpec, value: Any) -> Any:
        return f"not {value}" if f.kind == "scalar" and isinstance(value, str) else right(server, f, value)

    right = SubgraphServer.answer
    monkeypatch.setattr(SubgraphServer, "answer", wrong)

    def check_worlds() -> None:
        for seed in range(10):
            random = Random(seed)
            check(make_world(random), random)

    with pytest.raises(AssertionError, match=r"found .*not E"):
        check_worlds()
