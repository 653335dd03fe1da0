"""The counter-examples: short queries with reasons that say what is missing."""

from __future__ import annotations

from graphql import parse

from router.composition.compose import SubgraphInput, compose
from tests.router.composition.cases import link


def message(**sdl: str) -> str:
    """The one satisfiability error that composing gives."""
    result = compose([SubgraphInput(name, f"http://{name}", link() + text) for name, text in sdl.items()])
    assert [error.code.value for error in result.errors] == ["SATISFIABILITY_ERROR"]
    return result.errors[0].message


def test_counter_example_is_a_query_to_the_field() -> None:
    """It parses, fills required arguments, names the type where the path goes through an abstract one."""
    text = message(
        a="""
            type Query { find(id: ID!, n: [Int!]!, e: E!): U }
            union U = A
            type A { x: Int }
            enum E { ONE }
        """,
        b="type Query { a: A } type A { y: Int }".replace("a: A", "a: A @inaccessible"),
    )
    query = text.partition("query\n")[2].partition("\nbecause")[0]
    parse(query)
    assert 'find(id: "...", n: [], e: ONE)' in query
    assert "... on A {" in query
    assert query.split()[-4:] == ["y", "}", "}", "}"]


def test_reasons_name_the_missing_key() -> None:
    """The subgraph that has the field, its key, and the key's field that cannot be had."""
    text = message(
        a='type Query { t: T } type T @key(fields: "id") { id: ID! }',
        b='type T @key(fields: "sku") { sku: ID! @inaccessible y: Int }',
    )
    assert 'subgraph "b", which has "T.y", cannot be reached by @key(fields: "sku")' in text
    assert '"sku" cannot be had from "a"' in text


def test_reasons_name_the_missing_requirement() -> None:
    """A field whose requirement cannot be had says which."""
    text = message(
        a='type Query { t: T } type T @key(fields: "id") { id: ID! }',
        b='type T @key(fields: "id") { id: ID! x: Int @external y: Int @requires(fields: "x") }',
        c='type T @key(fields: "sku") { sku: ID! @inaccessible x: Int @inaccessible }',
    )
    assert 'in subgraph "b", "T.y" requires "x"' in text
    assert '"x" cannot be had from "a", "b"' in text


def test_each_field_is_reported_once_by_its_shortest_path() -> None:
    """However many ways lead to an unreachable field, one is enough to understand it."""
    text = message(
        a="type Query { deep: D t: T } type D { t: T } type T { x: Int }",
        b="type Query { u: T @inaccessible } type T { y: Int }",
    )
    assert "deep" not in text
