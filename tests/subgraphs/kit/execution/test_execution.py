"""The compiled executor answers what graphql-core answers."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis_graphql
import pytest
from graphql import GraphQLScalarType, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subgraphs.delivery.schema import schema as delivery
from subgraphs.funding.schema import schema as funding
from subgraphs.kit.execution import compile_operation
from subgraphs.orders.schema import schema as orders
from subgraphs.payments.schema import schema as payments
from subgraphs.products.schema import schema as products
from subgraphs.users.schema import schema as users
from tests.subgraphs.kit.execution.oracle import agree, is_ours, unawaited_by_core
from tests.subgraphs.kit.execution.shop import schema as shop

OPERATIONS: list[tuple[str, dict[str, Any] | None]] = [
    ("{ __typename pets { __typename ... on Cat { lives colour born price } ... on Dog { bones owner } } }", None),
    ("{ pets { ... on Named { name shout(times: 2) } ... on Cat { friend { ... on Dog { bones } } } } }", None),
    ("{ named { __typename name shout ... on Cat { strict } } }", None),
    ("{ pets { ... on Dog { enemies { name strict mood } } } }", None),
    ("{ pets { ... on Dog { maybeEnemies { name strict lives mood(of: RED) } } } }", None),
    (
        "{ a: cat(lives: -1) { mood } b: cat(lives: 7) { colour } c: cat(lives: 0) { strict } "
        "stranger { __typename } }",
        None,
    ),
    ("{ badList badItems lazily promised streamed }", None),
    ("{ cat { lives } broken }", None),
    ("{ fragile { deep { soft { late } fine } soft { late deep { late } } fine } }", None),
    ("{ fragile { deep { deep { late } } } cat { name } }", None),
    ('{ wish(wish: {name: "x", ranges: [{high: 2, colours: [RED]}, {}], price: "1.10"}) }', None),
    (
        'query($w: Wish!, $r: Range = {low: 4}) { wish(wish: $w, also: $r, at: "2026-01-01T00:00:00Z") }',
        {"w": {"name": "x", "ranges": [{"low": 3, "colours": ["BLUE"]}], "price": "2"}},
    ),
    ("query($w: Wish!) { wish(wish: $w) }", {"w": {"name": 5}}),
    ("query($w: Wish!) { wish(wish: $w) }", {"w": {"name": "x", "surprise": 1}}),
    ("query($w: Wish!) { wish(wish: $w) }", {}),
    ("query($n: String!, $l: Int) { wish(wish: {name: $n, ranges: [{low: $l}]}) }", {"n": "x"}),
    ("query($n: String!, $l: Int = 3) { wish(wish: {name: $n, ranges: [{high: $l}]}) }", {"n": "x"}),
    ("query($i: [ID]!, $f: Boolean) { ids(ids: $i, flag: $f) }", {"i": [1, "b", None], "f": None}),
    ("query($i: [ID]!) { ids(ids: $i) }", {"i": "alone"}),
    ("query($l: Int) { cat(lives: $l) { lives } }", {"l": None}),
    ("query($l: Int) { cat(lives: $l) { lives } }", {}),
    (
        "query($s: Boolean!) { cat { name @skip(if: $s) lives @include(if: $s) }"
        " cat { name @include(if: $s) colour } }",
        {"s": True},
    ),
    (
        "query($s: Boolean = false) { cat { ...F @include(if: $s) ... @skip(if: $s) { lives } } } "
        "fragment F on Cat { name }",
        None,
    ),
    ("mutation { a: append(value: 1) b: append(value: 2) refuse c: append(value: 3) }", None),
    ("mutation { a: append(value: 1) refuseHard }", None),
]


@pytest.mark.parametrize(("query", "variables"), OPERATIONS)
async def test_it_answers_as_graphql_core_does(query: str, variables: dict[str, Any] | None) -> None:
    await agree(shop, query, variables, [])


async def test_after_a_refusal_that_nulls_all_no_mutation_follows() -> None:
    context: list[int] = []
    operation = compile_operation(
        shop._schema, shop.schema_converter, parse("mutation { refuseHard append(value: 1) }"), None
    )
    assert operation is not None
    run = operation.prepare(context, None)
    result = await operation.run(run)  # type: ignore[arg-type]
    assert result.data is None
    assert context == []


_BUILT_IN = {"String", "Int", "Float", "ID", "Boolean"}

SCHEMAS = {
    "shop": shop,
    "orders": orders,
    "products": products,
    "users": users,
    "payments": payments,
    "delivery": delivery,
    "funding": funding,
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_operations_that_nobody_thought_of(name: str) -> None:
    """Without a context the real resolvers fail where they first use it: the paths and the nulls must be the same."""
    schema = SCHEMAS[name]
    custom = [each.name for each in schema._schema.type_map.values() if isinstance(each, GraphQLScalarType)]
    texts = st.sampled_from(["1.50", "2026-01-01T00:00:00Z", "x"]).map(hypothesis_graphql.nodes.String)
    scalars = {name: texts for name in custom if name not in _BUILT_IN}
    operations = hypothesis_graphql.queries(schema._schema, allow_null=True, custom_scalars=scalars)

    @settings(max_examples=150 if name == "shop" else 30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operations)
    def check(query: str) -> None:
        if is_ours(schema, query):
            asyncio.run(agree(schema, query, None, [], by_timing=True))

    with unawaited_by_core():
        check()


@given(
    st.lists(
        st.sampled_from(["name", "lives", "colour", "strict", "mood", "shout", "friend { __typename }"]),
        min_size=1,
        unique=True,
    ),
    st.sampled_from([-1, 0, 7, 9]),
)
@settings(max_examples=60, deadline=None)
def test_any_fields_in_any_order(fields: list[str], lives: int) -> None:
    selected = " ".join(fields)
    query = f"{{ cat(lives: {lives}) {{ {selected} }} pets {{ ... on Cat {{ {selected} }} }} }}"
    asyncio.run(agree(shop, query))


@pytest.mark.parametrize(
    "query",
    ["{ __schema { types { name } } }", "subscription { x }", "query A { cat { name } } query B { badList }"],
)
def test_what_is_left_to_graphql_core(query: str) -> None:
    document = parse(query)
    assert compile_operation(shop._schema, shop.schema_converter, document, None) is None


async def test_the_comparison_would_see_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subgraphs.kit.execution.run.path_of", lambda _position: ("wrong",))
    with pytest.raises(AssertionError):
        await agree(shop, "{ badItems }")
