"""What the supergraph says, statement by statement."""

from __future__ import annotations

import re

from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.composition.cases import link


def supergraph(**sdl: str) -> str:
    """Compose Federation 2 subgraphs given by name."""
    result = compose([SubgraphInput(name, f"http://{name}", link() + text) for name, text in sdl.items()])
    assert result.supergraph_sdl is not None, [str(error) for error in result.errors]
    return re.sub(r"\s+", " ", result.supergraph_sdl)


def test_fields_everyone_resolves_alike_need_no_join_field() -> None:
    """A shared key says nothing that the type's own entries do not say."""
    sdl = supergraph(
        a='type Query { t: T } type T @key(fields: "id") { id: ID! x: Int }',
        b='type T @key(fields: "id") { id: ID! y: Int }',
    )
    assert "{ id: ID! x: Int @join__field(graph: A) y: Int @join__field(graph: B) }" in sdl
    assert 'type T @join__type(graph: A, key: "id") @join__type(graph: B, key: "id")' in sdl


def test_every_way_to_hold_a_field_is_written_down() -> None:
    """External, requires, provides and override are what planning needs to know."""
    sdl = supergraph(
        a="""
            type Query { t: T @provides(fields: "p") }
            type T @key(fields: "id") { id: ID! p: Int @external x: Int }
        """,
        b="""
            type T @key(fields: "id") {
                id: ID!
                p: Int @shareable
                x: Int @override(from: "a")
                z: Int @external
                y: Int @requires(fields: "z")
            }
        """,
        c='type T @key(fields: "id") { id: ID! z: Int }',
    )
    assert 't: T @join__field(graph: A, provides: "p")' in sdl
    assert "p: Int @join__field(graph: A, external: true) @join__field(graph: B)" in sdl
    assert 'x: Int @join__field(graph: B, override: "a")' in sdl
    assert "z: Int @join__field(graph: B, external: true) @join__field(graph: C)" in sdl
    assert 'y: Int @join__field(graph: B, requires: "z")' in sdl


def test_an_overridden_field_still_in_use_is_kept_as_such() -> None:
    """Its subgraph goes on using it in a key, so planning must know that it is there."""
    sdl = supergraph(
        a='type Query { t: T } type T @key(fields: "id") @key(fields: "k") { id: ID! k: ID! x: Int }',
        b='type T @key(fields: "id") @key(fields: "k") { id: ID! k: ID! @override(from: "a") }',
    )
    assert '@join__field(graph: A, usedOverridden: true) @join__field(graph: B, override: "a")' in sdl


def test_differing_types_are_kept_per_subgraph() -> None:
    """The supergraph's type covers all; each subgraph's own is what it really answers."""
    sdl = supergraph(
        a="type Query { t: T } type T @shareable { x: Int! }", b="type T @shareable { x: Int } type Query { u: T }"
    )
    assert 'x: Int @join__field(graph: A, type: "Int!") @join__field(graph: B, type: "Int")' in sdl


def test_scopes_of_all_subgraphs_are_needed_together() -> None:
    """(a or b) and (c and d) is (a and c and d) or (b and c and d)."""
    sdl = supergraph(
        a='type Query { x: Int @shareable @requiresScopes(scopes: [["a"], ["b"]]) }',
        b='type Query { x: Int @shareable @requiresScopes(scopes: [["c", "d"]]) }',
    )
    assert '@requiresScopes(scopes: [["a", "c", "d"], ["b", "c", "d"]])' in sdl


def test_interface_asks_for_what_any_implementation_asks() -> None:
    """Selecting through the interface must not be a way around an implementation's requirement."""
    sdl = supergraph(
        a="""
            type Query { i: I }
            interface I { x: Int }
            type A implements I { x: Int @authenticated }
            type B implements I { x: Int @requiresScopes(scopes: [["b"]]) }
        """
    )
    assert 'interface I @join__type(graph: A) { x: Int @authenticated @requiresScopes(scopes: [["b"]]) }' in sdl


def test_interface_objects_reach_the_implementations() -> None:
    """A field that an interface object adds is a field of each implementation, resolved by no subgraph of theirs."""
    sdl = supergraph(
        a="""
            type Query { i: I }
            interface I @key(fields: "id") { id: ID! }
            type A implements I @key(fields: "id") { id: ID! }
        """,
        b='type I @key(fields: "id") @interfaceObject { id: ID! y: Int }',
    )
    assert (
        'interface I @join__type(graph: A, key: "id") @join__type(graph: B, key: "id", isInterfaceObject: true)' in sdl
    )
    assert re.search(r"type A implements I [^{]*{ id: ID!( @join__field\(graph: A\))? y: Int @join__field }", sdl)


def test_descriptions_and_defaults_survive() -> None:
    """Texts come out as block strings, however they went in; quotes inside them are no danger."""
    sdl = supergraph(a='"Says \\"hi\\"" type Query { "a field" t("an argument" x: Int = 5): Int }')
    assert 'Says "hi"' in sdl
    assert "a field" in sdl
    assert "an argument" in sdl
    assert "x: Int = 5" in sdl


def test_graph_names_are_unique_and_valid() -> None:
    """Names that differ only in what an enum value cannot hold are numbered; others keep their own name."""
    result = compose(
        [
            SubgraphInput(name, "http://x", f"type Query {{ f{index}: Int }}")
            for index, name in enumerate(["a-b", "a_b", "1x", "v_1", "plain"])
        ]
    )
    assert result.supergraph_sdl is not None
    names = re.findall(r'^  (\w+) @join__graph\(name: "([^"]+)"', result.supergraph_sdl, re.MULTILINE)
    assert {name: value for value, name in names} == {
        "a-b": "A_B_1",
        "a_b": "A_B_2",
        "1x": "_1X",
        "v_1": "V_1_",
        "plain": "PLAIN",
    }


def test_subgraph_machinery_stays_out() -> None:
    """``_entities``, ``_service`` and the types around them are between router and subgraph."""
    sdl = supergraph(
        a="""
            scalar _Any
            union _Entity = T
            type _Service { sdl: String }
            type Query { t: T _service: _Service! _entities(representations: [_Any!]!): [_Entity]! }
            type T @key(fields: "id") { id: ID! }
        """
    )
    for name in ("_Any", "_Entity", "_Service", "_entities", "_service", "federation__"):
        assert name not in sdl


def test_hidden_arguments_of_executable_directives_stay_hidden() -> None:
    """One subgraph hides the argument: the supergraph says so, and clients do not see it."""
    result = compose(
        [
            SubgraphInput(
                "a", "", link() + "type Query { a: Int } directive @log(to: Int @inaccessible, at: Int) on FIELD"
            ),
            SubgraphInput("b", "", link() + "type Query { b: Int } directive @log(to: Int, at: Int) on FIELD"),
        ]
    )
    assert result.supergraph_sdl is not None
    assert "directive @log(to: Int @inaccessible, at: Int) on FIELD" in result.supergraph_sdl
    directive = api_schema(load_supergraph(result.supergraph_sdl)).get_directive("log")
    assert directive is not None
    assert list(directive.args) == ["at"]
