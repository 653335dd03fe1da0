"""Plan an operation over subgraphs given as SDL, the way the tests of the planner need it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from graphql import parse, validate

from router.composition.compose import SubgraphInput, compose
from router.operation.model import Operation
from router.operation.normalize import normalize
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.nodes import QueryPlan
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph

FEDERATION = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.11", import: ["@key", "@shareable", "@external", '
    '"@requires", "@provides", "@override", "@inaccessible", "@interfaceObject", "@context", "@fromContext", "@tag"])\n'
)


@lru_cache(maxsize=64)
def _compose(subgraphs: tuple[tuple[str, str], ...]) -> str:
    result = compose([SubgraphInput(name, f"http://{name}", sdl) for name, sdl in subgraphs])
    assert result.supergraph_sdl is not None, "\n".join(map(str, result.errors))
    return result.supergraph_sdl


def supergraph_sdl(subgraphs: Mapping[str, str]) -> str:
    """Compose; subgraphs that link nothing get Federation 2 with every directive the tests use."""
    return _compose(
        tuple((name, sdl if "@link" in sdl or "# v1" in sdl else FEDERATION + sdl) for name, sdl in subgraphs.items())
    )


@lru_cache(maxsize=64)
def query_graph(sdl: str, labels: frozenset[str] = frozenset()) -> QueryGraph:
    """The query graph of a supergraph SDL."""
    return QueryGraph(load_supergraph(sdl), labels)


def read_operation(graph: QueryGraph, source: str, conditions: Mapping[str, bool] | None = None) -> Operation:
    """Validate and normalise an operation against the graph's API schema."""
    schema = api_schema(graph.supergraph)
    document = parse(source)
    errors = validate(schema, document)
    assert not errors, errors
    return normalize(document, None, schema, conditions or {})


def plan_over(subgraphs: Mapping[str, str], operation: str, labels: frozenset[str] = frozenset()) -> QueryPlan:
    """The plan of an operation over subgraphs."""
    graph = query_graph(supergraph_sdl(subgraphs), labels)
    return plan(graph, read_operation(graph, operation), deadline=10.0)
