"""Supergraphs of every join version load into one model; what the router cannot honour is refused."""

from __future__ import annotations

import pytest

from router.errors import SupergraphError
from router.supergraph.load import load_supergraph
from router.supergraph.model import Key

LINK = '@link(url: "https://specs.apollo.dev/link/v1.0")'
GRAPHS = (
    'enum join__Graph { A @join__graph(name: "a", url: "http://a") B_1 @join__graph(name: "b-1", url: "http://b") }'
)


def modern(body: str, version: str = "v0.3", more: str = "") -> str:
    join = f'@link(url: "https://specs.apollo.dev/join/{version}", for: EXECUTION)'
    return f"schema {LINK} {join} {more} {{ query: Query }} {GRAPHS} {body}"


QUERY = "type Query @join__type(graph: A) @join__type(graph: B_1) { u: User @join__field(graph: A) }"


def test_v01_has_owners_and_keys_of_extending_subgraphs() -> None:
    """In join v0.1 a field of a type with an owner is the owner's, and each subgraph has the fields of its keys."""
    supergraph = load_supergraph(
        'schema @core(feature: "https://specs.apollo.dev/core/v0.1") '
        '@core(feature: "https://specs.apollo.dev/join/v0.1", for: EXECUTION) { query: Query } '
        f"{GRAPHS} type Query {{ u: User @join__field(graph: A) }} "
        'type User @join__owner(graph: A) @join__type(graph: A, key: "id") @join__type(graph: B_1, key: "id") '
        '{ id: ID! @join__field(graph: A) name: String age: Int @join__field(graph: B_1, requires: "name") v: V } '
        "type V { x: Int }"
    )
    user = supergraph.types["User"]
    assert set(user.fields["id"].joins) == {"a", "b-1"}
    assert set(user.fields["name"].joins) == {"a"}
    assert user.fields["age"].joins["b-1"].requires == "name"
    assert set(supergraph.types["V"].fields["x"].joins) == {"a", "b-1"}


@pytest.mark.parametrize("version", ["v0.2", "v0.3", "v0.4", "v0.5"])
def test_a_field_without_join_is_in_every_subgraph_of_its_type(version: str) -> None:
    """From v0.2 on, a field without ``@join__field`` is in all subgraphs that have its type."""
    supergraph = load_supergraph(
        modern(
            QUERY + 'type User @join__type(graph: A, key: "id") @join__type(graph: B_1, key: "id", resolvable: false) '
            "{ id: ID! name: String @join__field(graph: A) @join__field(graph: B_1, external: true) }",
            version,
        )
    )
    user = supergraph.types["User"]
    assert set(user.fields["id"].joins) == {"a", "b-1"}
    assert user.joins["b-1"].keys == (Key("id", resolvable=False),)
    assert user.fields["name"].joins["a"].resolvable()
    assert not user.fields["name"].joins["b-1"].resolvable()


def test_members_and_implementations_are_known_per_subgraph() -> None:
    """Union members and implementations say which subgraph has them; without a word all that have the type."""
    supergraph = load_supergraph(
        modern(
            QUERY + "union U @join__type(graph: A) @join__type(graph: B_1) @join__unionMember(graph: A, member: "
            '"User") @join__unionMember(graph: B_1, member: "Bot") = User | Bot '
            "union W @join__type(graph: A) @join__type(graph: B_1) = User | Bot "
            "interface I @join__type(graph: A) @join__type(graph: B_1) { id: ID } "
            'type User implements I @join__implements(graph: A, interface: "I") @join__type(graph: A) { id: ID } '
            "type Bot @join__type(graph: B_1) { id: ID }"
        )
    )
    assert supergraph.types["U"].members == {"a": {"User"}, "b-1": {"Bot"}}
    assert supergraph.types["W"].members == {"a": {"User"}, "b-1": {"Bot"}}
    assert supergraph.types["User"].interfaces == {"a": {"I"}}
    assert supergraph.possible_types["I"] == {"User"}
    assert supergraph.possible_types["U"] == {"User", "Bot"}


def test_override_takes_the_field_away_and_a_label_makes_that_conditional() -> None:
    """An overridden field is its old owner's only while the label, if there is one, is inactive."""
    supergraph = load_supergraph(
        modern(
            QUERY + "type User @join__type(graph: A) @join__type(graph: B_1) { "
            'moved: Int @join__field(graph: A, override: "b-1") @join__field(graph: B_1, usedOverridden: true) '
            'moving: Int @join__field(graph: A, override: "b-1", overrideLabel: "percent(5)") '
            '@join__field(graph: B_1, overrideLabel: "percent(5)") }',
            "v0.4",
        )
    )
    fields = supergraph.types["User"].fields
    assert [fields["moved"].joins[graph].resolvable() for graph in ("a", "b-1")] == [True, False]
    active = frozenset({"percent(5)"})
    assert [fields["moving"].joins[graph].resolvable() for graph in ("a", "b-1")] == [False, True]
    assert [fields["moving"].joins[graph].resolvable(active) for graph in ("a", "b-1")] == [True, False]


def test_an_interface_object_field_of_an_implementation_is_nobodys() -> None:
    """``@join__field`` without a graph marks a field that only an interface object resolves."""
    supergraph = load_supergraph(
        modern(
            "type Query @join__type(graph: A) { i: I } "
            'interface I @join__type(graph: A, key: "id") @join__type(graph: B_1, key: "id", isInterfaceObject: true) '
            "{ id: ID! n: Int @join__field(graph: B_1) } "
            'type User implements I @join__implements(graph: A, interface: "I") @join__type(graph: A, key: "id") '
            "{ id: ID! n: Int @join__field }"
        )
    )
    assert supergraph.types["I"].joins["b-1"].is_interface_object
    assert supergraph.types["User"].fields["n"].joins == {}


def test_renamed_features_are_found_under_their_names() -> None:
    """A feature linked ``as`` another name, or with renamed imports, keeps its meaning."""
    more = (
        '@link(url: "https://specs.apollo.dev/inaccessible/v0.2", as: "hidden", for: SECURITY) '
        '@link(url: "https://specs.apollo.dev/authenticated/v0.1", import: [{name: "@authenticated", as: "@login"}])'
    )
    supergraph = load_supergraph(
        modern(QUERY + "type User @join__type(graph: A) { a: Int @hidden b: Int @login }", more=more)
    )
    fields = supergraph.types["User"].fields
    assert fields["a"].inaccessible
    assert fields["b"].authorization is not None
    assert fields["b"].authorization.authenticated


@pytest.mark.parametrize(
    ("sdl", "message"),
    [
        ("type Query {", "not valid GraphQL"),
        ("type Query { a: Int }", "no known version of the join specification"),
        (modern(QUERY, more='@link(url: "https://example.com/magic/v1.0", for: SECURITY)'), "magic"),
        (modern(QUERY, more='@link(url: "https://specs.apollo.dev/inaccessible/v9.0", for: SECURITY)'), "v9.0"),
        (modern("type Query @join__type(graph: C) { a: Int }"), "names the graph C"),
    ],
)
def test_what_cannot_be_served_is_refused(sdl: str, message: str) -> None:
    """Each refusal says what is wrong."""
    with pytest.raises(SupergraphError, match=message):
        load_supergraph(sdl)


def test_an_unknown_feature_without_a_purpose_is_passed_over() -> None:
    """Only features that claim to matter for security or execution stop the router."""
    more = '@link(url: "https://example.com/magic/v1.0")'
    supergraph = load_supergraph(modern(QUERY + "type User @join__type(graph: A) { a: Int }", more=more))
    assert "User" in supergraph.types
