"""Clients see the graph, not how it is split, and nothing inaccessible."""

from __future__ import annotations

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, print_schema

from router.errors import SupergraphError
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.planner.support import supergraph_sdl

SUBGRAPH = """
directive @live(interval: Int) on FIELD
type Query { user: User @tag(name: "x") hidden: Hidden @inaccessible node: Node }
interface Node { id: ID! }
type User implements Node @key(fields: "id") { id: ID! old: Int @deprecated(reason: "no") secret: Int @inaccessible
  find(by: By, limit: Int @inaccessible): Kind }
type Hidden implements Node @inaccessible { id: ID! }
enum Kind { A B @inaccessible }
input By @oneOf { a: Int b: Int }
scalar Link @specifiedBy(url: "https://example.com/link")
union Any = User | Hidden
type More @shareable { any: Any link: Link }
extend type Query { more: More }
"""


def test_machinery_and_inaccessible_elements_are_gone() -> None:
    """No join or link types, no federation directives, no inaccessible type, field, argument, value or member."""
    schema = api_schema(load_supergraph(supergraph_sdl({"a": SUBGRAPH})))
    text = print_schema(schema)
    for gone in ("join__", "link__", "federation", "@tag", "secret", "Hidden", "hidden", "limit", "inaccessible"):
        assert gone not in text
    kind = schema.get_type("Kind")
    assert isinstance(kind, GraphQLEnumType)
    assert list(kind.values) == ["A"]


def test_what_clients_should_know_is_kept() -> None:
    """Deprecations, scalar specifications, ``@oneOf`` and the support of ``@defer`` stay."""
    schema = api_schema(load_supergraph(supergraph_sdl({"a": SUBGRAPH})))
    user = schema.get_type("User")
    assert isinstance(user, GraphQLObjectType)
    assert user.fields["old"].deprecation_reason == "no"
    text = print_schema(schema)
    assert '@specifiedBy(url: "https://example.com/link")' in text
    assert "input By @oneOf" in text
    assert schema.get_directive("defer") is not None


def test_an_api_schema_without_root_fields_is_refused() -> None:
    """A supergraph whose visible part is no schema says so."""
    sdl = supergraph_sdl({"a": "type Query { a: Int b: Int @inaccessible }"})
    with pytest.raises(SupergraphError, match="no valid API schema"):
        api_schema(load_supergraph(sdl.replace("a: Int", "a: Int @inaccessible", 1)))
