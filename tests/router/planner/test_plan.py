"""The planner's promises that a golden plan does not show."""

from __future__ import annotations

import time
from random import Random

import pytest
from graphql import parse, validate

from router.errors import PlanningError
from router.planner.plan import plan
from router.query_plan.nodes import Fetch, PlanNode, QueryPlan, Sequence, Subscription
from router.supergraph.api_schema import api_schema
from tests.router.planner.support import plan_over, query_graph, read_operation, supergraph_sdl

WIDE = 7


def fetches(node: PlanNode | None) -> list[Fetch]:
    """All fetches of a plan."""
    if node is None:
        return []
    if isinstance(node, Fetch):
        return [node]
    if isinstance(node, Subscription):
        return [node.primary, *fetches(node.rest)]
    return [fetch for inner in getattr(node, "nodes", ()) for fetch in fetches(inner)]


def rounds(node: PlanNode | None) -> int:
    """How many fetches of a plan run one after another at most."""
    if node is None:
        return 0
    if isinstance(node, Fetch):
        return 1
    counts = [rounds(inner) for inner in getattr(node, "nodes", ())]
    return sum(counts) if isinstance(node, Sequence) else max(counts)


def wide_subgraphs() -> dict[str, str]:
    """Seven subgraphs that all resolve the same entities, each with one field of its own."""
    types = range(6)
    subgraphs = {}
    for number in range(WIDE):
        parts = ["type Query {", *(f"r{t}: T{t} @shareable" for t in types), "}"]
        for t in types:
            edges = " ".join(f"c{u}: T{u} @shareable l{u}: [T{u}] @shareable" for u in types)
            parts.append(
                f'type T{t} @key(fields: "id") {{ id: ID! shared: String @shareable {edges} own{number}: String }}'
            )
        subgraphs[f"s{number}"] = "\n".join(parts)
    return subgraphs


def wide_operation(random: Random, roots: int) -> str:
    """A random operation over ``wide_subgraphs``, about 1.3 KB for each root field."""

    def selection(depth: int) -> str:
        own = [f"own{number}" for number in random.sample(range(WIDE), 3)]
        below = [
            f"{random.choice('cl')}{t} {{ {selection(depth - 1)} }}" for t in random.sample(range(6), 3 if depth else 0)
        ]
        return " ".join(["id", "shared", *own, *below])

    return "{ " + " ".join(f"r{root} {{ {selection(3)} }}" for root in range(roots)) + " }"


def test_a_large_operation_over_subgraphs_that_all_know_everything_is_planned_in_time() -> None:
    """5 KB over seven subgraphs: one request each, two rounds, and no endless search."""
    graph = query_graph(supergraph_sdl(wide_subgraphs()))
    source = wide_operation(Random(3), 4)
    assert len(source) > 5000
    operation = read_operation(graph, source)
    found = plan(graph, operation, deadline=20.0)  # enumerating combinations would take days; see benchmarks
    assert len(fetches(found.node)) == WIDE
    assert rounds(found.node) == 2


def test_planning_stops_at_its_deadline() -> None:
    """An operation that cannot be planned in the time given is refused, not planned badly."""
    graph = query_graph(supergraph_sdl(wide_subgraphs()))
    operation = read_operation(graph, "{ r0 { c1 { own0 own1 } } }")
    with pytest.raises(PlanningError, match="too long"):
        plan(graph, operation, deadline=-1.0)


def test_every_fetch_is_valid_graphql_with_its_variables_declared() -> None:
    """A fetch declares exactly the variables it uses, defaults included."""
    found = plan_over(
        {
            "a": 'type Query { user(id: ID!): User } type User @key(fields: "id") { id: ID! }',
            "b": 'type User @key(fields: "id") { id: ID! posts(first: Int): [Int] }',
        },
        "query($id: ID!, $first: Int = 3, $representations: Int) "
        "{ user(id: $id) { posts(first: $first) more: posts(first: $representations) } }",
    )
    first, second = fetches(found.node)
    assert first.document == "query($id: ID!) { user(id: $id) { id } }"
    assert first.variables == ("id",)
    assert second.variables == ("first", "representations")
    assert second.entities[0].variable not in second.variables
    assert "$first: Int = 3" in second.document


def test_introspection_is_split_off() -> None:
    """``__schema`` and ``__type`` never reach a subgraph; ``__typename`` of the root is a constant."""
    found = plan_over(
        {"a": "type Query { a: Int }"},
        "query($name: String!) { __typename a __schema { queryType { name } } t: __type(name: $name) { name } }",
    )
    assert [fetch.document for fetch in fetches(found.node)] == ["{ a }"]
    assert found.introspection == (
        "query($name: String!) { __schema { queryType { name } } t: __type(name: $name) { name } }"
    )
    assert found.shape.variants[0].fields[0].constant == "Query"


def test_a_plan_without_fields_fetches_nothing() -> None:
    """Constants need no subgraph."""
    found = plan_over({"a": "type Query { a: Int }"}, "{ __typename }")
    assert found.node is None


HIDING = {
    "a": """type Query { all: [Item] }
        interface Item { id: ID! kind: Kind }
        type Seen implements Item { id: ID! kind: Kind }
        type Unseen implements Item @inaccessible { id: ID! kind: Kind }
        enum Kind { OPEN SECRET @inaccessible }"""
}


def test_the_shape_lets_nothing_hidden_through() -> None:
    """A hidden type has no variant, a hidden enum value is not among the values let through."""
    found: QueryPlan = plan_over(HIDING, "{ all { id kind } }")
    items = found.shape.variants[0].fields[0].shape
    assert items is not None
    assert items.abstract
    assert [variant.types for variant in items.variants] == [{"Seen"}]
    assert items.variants[0].fields[1].enum_values == frozenset({"OPEN"})
    assert "__typename" in fetches(found.node)[0].document


def test_response_names_follow_the_client_whatever_the_data_keys() -> None:
    """Where an internal alias was needed, the shape still writes the client's name, in the client's order."""
    found = plan_over(
        {
            "a": """type Query { all: [Thing] }
                union Thing = A | B
                type A { x: Int @shareable y: Int }
                type B { x: Int! @shareable y: Int }""",
            "b": "type B { x: Int @shareable }",
        },
        "{ all { ... on B { y x } ... on A { x y } } }",
    )
    shape = found.shape.variants[0].fields[0].shape
    assert shape is not None
    names = {min(variant.types): [(f.response_name, f.key) for f in variant.fields] for variant in shape.variants}
    assert [name for name, _ in names["A"]] == ["x", "y"]
    assert [name for name, _ in names["B"]] == ["y", "x"]
    assert dict(names["A"])["x"] != dict(names["B"])["x"]


def test_the_supergraph_need_not_be_composed_here() -> None:
    """A subgraph whose key field the supergraph credits to another subgraph alone can still be entered by it."""
    sdl = supergraph_sdl(
        {
            "a": 'type Query { user: User } type User @key(fields: "id") { id: ID! }',
            "b": 'type User @key(fields: "id") { id: ID! name: String }',
        }
    )
    odd = sdl.replace("  id: ID!\n", "  id: ID! @join__field(graph: A)\n", 1)
    assert odd != sdl
    graph = query_graph(odd)
    assert not validate(api_schema(graph.supergraph), parse("{ user { name } }"))
    started = time.monotonic()
    found = plan(graph, read_operation(graph, "{ user { name } }"))
    assert time.monotonic() - started < 1.0
    assert [fetch.subgraph for fetch in fetches(found.node)] == ["a", "b"]
