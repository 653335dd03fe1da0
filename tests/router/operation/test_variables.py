"""Coercion of request variables: the same values pass as with graphql-core, in their JSON form."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse
from graphql.execution.values import get_variable_values
from hypothesis import assume, given
from hypothesis import strategies as st

from router.errors import OperationError, VariablesError
from router.operation.variables import coerce_variables

SCHEMA = build_schema("""
enum E { A B }
scalar Json
input Point { x: Int! y: Float = 1.5 tags: [String!] next: Point e: E }
input Choice @oneOf { a: Int b: String }
type Query { f(id: ID): Boolean }
""")


def operation(definitions: str) -> OperationDefinitionNode:
    (node,) = parse(f"query({definitions}){{f}}").definitions
    assert isinstance(node, OperationDefinitionNode)
    return node


def coerce(type_: str, value: Any) -> Any:
    return coerce_variables(SCHEMA, operation(f"$v: {type_}"), {"v": value})["v"]


@pytest.mark.parametrize(
    ("type_", "value", "coerced"),
    [
        ("Int", 1, 1),
        ("Int", 1.0, 1),
        ("Int", None, None),
        ("Float", 1, 1),
        ("ID", 7, "7"),
        ("[Int]", 1, [1]),
        ("[[Int]]", 1, [[1]]),
        ("[Int]", [1, None], [1, None]),
        ("E", "A", "A"),
        ("Json", {"any": [1, "x"]}, {"any": [1, "x"]}),
        ("Point", {"x": 1, "next": {"x": 2, "tags": "t"}}, {"x": 1, "next": {"x": 2, "tags": ["t"]}}),
        ("Choice", {"a": 1}, {"a": 1}),
    ],
)
def test_good_values(type_: str, value: Any, coerced: Any) -> None:
    """Values go to subgraphs as JSON; defaults inside input objects are the subgraph's own."""
    assert coerce(type_, value) == coerced


@pytest.mark.parametrize(
    ("type_", "value", "place"),
    [
        ("Int", 2**31, "$v"),
        ("Int", 1.5, "$v"),
        ("Int", True, "$v"),
        ("Int", "1", "$v"),
        ("Float", "1", "$v"),
        ("Float", float("inf"), "$v"),
        ("String", 1, "$v"),
        ("Boolean", 1, "$v"),
        ("ID", 1.5, "$v"),
        ("ID", True, "$v"),
        ("Int!", None, "$v"),
        ("E", "C", "$v"),
        ("E", ["A"], "$v"),
        ("[Int!]", [1, None], "v[1]"),
        ("Point", {}, "$v"),
        ("Point", {"x": 1, "z": 1}, "$v"),
        ("Point", {"x": 1, "next": {"x": "1"}}, "v.next.x"),
        ("Point", {"x": 1, "tags": ["a", 2]}, "v.tags[1]"),
        ("Point", [], "$v"),
        ("Choice", {"a": 1, "b": "x"}, "$v"),
        ("Choice", {"a": None}, "$v"),
        ("Choice", {}, "$v"),
    ],
)
def test_bad_values_are_refused_with_their_place(type_: str, value: Any, place: str) -> None:
    """The message names the variable and the place inside it."""
    with pytest.raises(VariablesError) as raised:
        coerce(type_, value)
    assert place in raised.value.messages[0]


def test_defaults_and_missing_variables() -> None:
    """A default stands in for a missing variable, null does not become the default; others stay missing."""
    node = operation("$a: Int = 3, $b: Int, $c: E! = A")
    assert coerce_variables(SCHEMA, node, {"unknown": 1}) == {"a": 3, "c": "A"}
    assert coerce_variables(SCHEMA, node, {"a": None, "b": None}) == {"a": None, "b": None, "c": "A"}
    with pytest.raises(VariablesError, match='"\\$a" of required type "Int!" was not provided'):
        coerce_variables(SCHEMA, operation("$a: Int!"), {})


def test_every_bad_variable_is_reported_up_to_ten() -> None:
    """All at once, as for validation."""
    many = ", ".join(f"$v{n}: Int!" for n in range(20))
    with pytest.raises(VariablesError) as raised:
        coerce_variables(SCHEMA, operation(many), {})
    assert len(raised.value.messages) == 10


def test_a_float_is_no_id() -> None:
    """Not even one without a fraction (GraphQL specification, 3.5.5)."""
    with pytest.raises(VariablesError):
        coerce_variables(SCHEMA, operation("$a: ID"), {"a": 4.0})


def test_output_types_are_no_variable_types() -> None:
    """Such a document fails validation; here it is an error of the operation."""
    with pytest.raises(OperationError):
        coerce_variables(SCHEMA, operation("$a: Query"), {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**33), 2**33) | st.floats(allow_nan=False) | st.sampled_from("ABx"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "a", "b", "tags", "next", "e"]), inner)
    ),
    max_leaves=6,
)
types = st.sampled_from(["Int", "Int!", "Float", "String", "Boolean", "ID", "E", "[Int!]", "[[E]]", "Point", "Choice"])


@given(types, json_values)
def test_what_passes_is_what_graphql_core_lets_pass(type_: str, value: Any) -> None:
    """Both accept, or both refuse. A float is no ID (GraphQL specification, 3.5.5), though the reference takes 4.0."""
    assume(not (type_ == "ID" and isinstance(value, float)))
    node = operation(f"$v: {type_}")
    reference = get_variable_values(SCHEMA, node.variable_definitions or (), {"v": value})
    try:
        coerce_variables(SCHEMA, node, {"v": value})
        accepted = True
    except VariablesError:
        accepted = False
    assert accepted == (not isinstance(reference, list))
