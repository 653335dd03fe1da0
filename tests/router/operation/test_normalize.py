"""Normalisation: fragments gone, fields merged, conditions decided, order kept."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import build_schema, execute_sync, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from router.errors import OperationError
from router.operation.normalize import normalize
from router.operation.passes.conditions import condition_variables
from router.operation.printer import print_operation

SCHEMA = build_schema("""
interface Node { id: ID! }
interface Named implements Node { id: ID! name: String }
type User implements Node & Named { id: ID! name: String friends(first: Int, tags: [String]): [Node] best: Named }
type Team implements Node & Named { id: ID! name: String members: [User] }
type Tag implements Node { id: ID! text(in: In): String any: Any }
input In { a: Int b: [String] }
union Any = User | Tag
type Query { node: Node named: Named any: Any user: User }
type Mutation { go: Int }
directive @defer(label: String, if: Boolean! = true) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @trace(id: Int) on FIELD
""")


def printed(text: str, **conditions: bool) -> str:
    """The normalised operation's body on one line."""
    document = parse(text)
    assert not validate(SCHEMA, document)
    return " ".join(print_operation(normalize(document, None, SCHEMA, conditions)).split()).partition(" ")[2]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("{user{id} user{name}}", "{ user { id name } }"),
        ("{user{...F}} fragment F on User{id ...G} fragment G on Named{name}", "{ user { id name } }"),
        ("{node{... on Node{id}}}", "{ node { id } }"),
        ("{named{... on Node{id}}}", "{ named { id } }"),
        ("{user{... on Any{__typename}}}", "{ user { __typename } }"),
        ("{any{... on Named{name}}}", "{ any { ... on User { name } } }"),
        ("{named{... on User{... on Node{... on Tag{text}}} id}}", "{ named { id } }"),
        ("{node{... on User{name} ... on User{id}}}", "{ node { ... on User { name id } } }"),
        (
            "{node{... on User{name} id ... on User{best{id}}}}",
            "{ node { ... on User { name } id ... on User { best { id } } } }",
        ),
        ("{a:user{id} b:user{id}}", "{ a: user { id } b: user { id } }"),
        ("{__typename user{__typename}}", "{ __typename user { __typename } }"),
        ("{user{id @skip(if:true) name @include(if:true)}}", "{ user { name } }"),
        ("{user{id @skip(if:true)}}", "{ user { ... on User { } } }"),
        ("{user{id @trace(id:1)}}", "{ user { id @trace(id: 1) } }"),
        ('{user{... @defer(label:"l"){id}}}', '{ user { ... on User @defer(label: "l") { id } } }'),
        ("{user{... @defer(if:false){id}}}", "{ user { id } }"),
        ("{user{...F ...F @defer}} fragment F on User{id}", "{ user { id ... on User @defer { id } } }"),
    ],
)
def test_normal_forms(operation: str, expected: str) -> None:
    """One example for each rule."""
    assert printed(operation) == expected


def test_arguments_are_canonical_so_that_equal_ones_merge() -> None:
    """Order of arguments and of input members, block strings and commas make no difference."""
    one = '{user{friends(first:1,tags:["""a"b"""]){... on Tag{text(in:{b:["x"],a:1})}}}}'
    other = '{user{friends(tags:["a\\"b"] first:1){... on Tag{text(in:{a:1 b:["x"]})}}}}'
    assert printed(one) == printed(other)
    assert 'friends(first: 1, tags: ["a\\"b"])' in printed(one)


def test_conditions_come_from_variables_then_from_their_defaults() -> None:
    """A condition variable that the request leaves out has its default."""
    query = "query($a:Boolean!,$b:Boolean=false){user{id @skip(if:$a) name @include(if:$b)}}"
    assert condition_variables(parse(query)) == {"a", "b"}
    assert printed(query, a=False).endswith("{ user { id } }")
    assert printed(query, a=True, b=True).endswith("{ user { name } }")
    with pytest.raises(OperationError):
        normalize(parse(query), None, SCHEMA, {})


def test_the_operation_is_chosen_by_name() -> None:
    """One operation needs no name; several do; an unknown name or kind is an error."""
    document = parse("query A{user{id}} mutation B{go}")
    assert normalize(document, "B", SCHEMA, {}).kind == "mutation"
    for text, name in (("query A{user{id}} query B{user{id}}", None), ("{user{id}}", "X"), ("subscription{a}", None)):
        with pytest.raises(OperationError):
            normalize(parse(text), name, SCHEMA, {})
    with pytest.raises(OperationError):
        normalize(parse("{nope}"), None, SCHEMA, {})


def test_variables_keep_type_and_default() -> None:
    """The planner prints them into subgraph operations."""
    operation = normalize(parse("query Q($a:[In!]!={a:1}){user{id}}"), "Q", SCHEMA, {})
    (variable,) = operation.variables
    assert (variable.name, variable.type, variable.default) == ("a", "[In!]!", "{a: 1}")


def test_doubling_fragments_take_linear_time() -> None:
    """Each fragment selects the next one twice: 2^60 fields expanded, shared in the result."""
    fragments = " ".join(f"fragment F{n} on User{{x:best{{...F{n + 1}}} y:best{{...F{n + 1}}}}}" for n in range(60))
    started = time.monotonic()
    normalize(parse(f"{{user{{...F0}}}} {fragments} fragment F60 on User{{id}}"), None, SCHEMA, {})
    assert time.monotonic() - started < 2


# --- the meaning stays --------------------------------------------------------------------------------------------

OBJECTS: dict[str, dict[str, Any]] = {
    "User": {"__typename": "User", "id": "u", "name": "Ada"},
    "Team": {"__typename": "Team", "id": "t", "name": "Red"},
    "Tag": {"__typename": "Tag", "id": "g", "text": "new"},
}
OBJECTS["User"] |= {"best": OBJECTS["Team"], "friends": [OBJECTS["Tag"], OBJECTS["User"], None]}
OBJECTS["Team"] |= {"members": [OBJECTS["User"]]}
OBJECTS["Tag"] |= {"any": OBJECTS["User"]}
FIELDS: dict[str, dict[str, str | None]] = {
    "Query": {"node": "Node", "named": "Named", "any": "Any", "user": "User"},
    "Node": {"id": None},
    "Named": {"id": None, "name": None},
    "User": {"id": None, "name": None, "friends": "Node", "best": "Named"},
    "Team": {"id": None, "name": None, "members": "User"},
    "Tag": {"id": None, "text": None, "any": "Any"},
    "Any": {},
}
CONDITIONS = {
    "Node": ["Node", "Named", "User", "Team", "Tag", "Any"],
    "Named": ["Node", "Named", "User", "Team", "Any"],
    "Any": ["Node", "Named", "User", "Tag", "Any"],
    "User": ["Node", "Named", "User", "Any"],
    "Team": ["Node", "Named", "Team"],
    "Tag": ["Node", "Tag", "Any"],
    "Query": ["Query"],
}


@st.composite
def selection_sets(draw: st.DrawFn, type_name: str, depth: int) -> str:
    parts: list[str] = []
    if draw(st.booleans()):
        parts.append("__typename")
    for _ in range(draw(st.integers(1, 4))):
        fields = [name for name, target in FIELDS[type_name].items() if target is None or depth > 0]
        if draw(st.booleans()) and fields:
            name = draw(st.sampled_from(fields))
            target = FIELDS[type_name][name]
            parts.append(name if target is None else f"{name} {draw(selection_sets(target, depth - 1))}")
        elif depth > 0:
            condition = draw(st.sampled_from(CONDITIONS[type_name]))
            skip = draw(st.sampled_from(["", "", "@skip(if: false)", "@include(if: false)"]))
            parts.append(f"... on {condition} {skip} {draw(selection_sets(condition, depth - 1))}")
    return "{" + " ".join(parts or ["__typename"]) + "}"


def answer(text: str) -> Any:
    root = {"node": OBJECTS["User"], "named": OBJECTS["Team"], "any": OBJECTS["Tag"], "user": OBJECTS["User"]}
    return repr(execute_sync(SCHEMA, parse(text), root_value=root).data)


@given(selection_sets("Query", 4))
def test_a_normalised_operation_means_the_same(selection_set: str) -> None:
    """Data and order are those of the operation as it was written (graphql-core executes both)."""
    document = parse(selection_set)
    if validate(SCHEMA, document):
        return
    normalised = print_operation(normalize(document, None, SCHEMA, {}))
    assert answer(normalised) == answer(selection_set)
    again = print_operation(normalize(parse(normalised), None, SCHEMA, {}))
    assert answer(again) == answer(selection_set)
