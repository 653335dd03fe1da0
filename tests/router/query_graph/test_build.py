"""The query graph knows who resolves what, and how objects move between subgraphs."""

from __future__ import annotations

import pytest

from router.errors import SupergraphError
from router.query_graph.build import QueryGraph
from router.query_graph.model import Node
from tests.router.planner.support import query_graph, supergraph_sdl

SUBGRAPHS = {
    "a": """type Query { book: Book @provides(fields: "title") items: [Item] }
        interface Item @key(fields: "id") { id: ID! title: String }
        type Book implements Item @key(fields: "id") { id: ID! title: String @external }
        type Film implements Item @key(fields: "id") { id: ID! title: String @shareable }""",
    "b": """type Book @key(fields: "id") @key(fields: "isbn", resolvable: false) {
        id: ID! isbn: ID title: String short: Boolean @requires(fields: "pages") pages: Int @external }""",
    "c": 'type Book @key(fields: "id") { id: ID! pages: Int }',
    "d": 'type Item @key(fields: "id") @interfaceObject { id: ID! score: Int }',
}


def graph() -> QueryGraph:
    return query_graph(supergraph_sdl(SUBGRAPHS))


def test_a_provided_field_is_an_edge_only_in_its_view() -> None:
    """The external title is resolvable below the field that provides it, and nowhere else in that subgraph."""
    edge = graph().field(Node("a", "Query"), "book")
    assert edge is not None
    assert edge.target is not None
    assert graph().field(edge.target, "title") is not None
    assert graph().field(Node("a", "Book"), "title") is None


def test_an_interface_field_is_an_edge_only_if_all_implementations_agree() -> None:
    """Book's title is external where Film's is not: the interface's title must be asked for type by type."""
    assert graph().field(Node("a", "Item"), "title") is None
    assert graph().field(Node("a", "Item"), "id") is not None
    assert graph().field(Node("a", "Film"), "title") is not None


def test_a_required_set_makes_an_edge_conditional() -> None:
    """The field is there, but only for an entity fetch that sends what it requires."""
    edge = graph().field(Node("b", "Book"), "short")
    assert edge is not None
    assert edge.conditional
    assert [want.name for want in edge.requires] == ["pages"]


def test_moves_follow_resolvable_keys_and_interface_objects() -> None:
    """A key that is not resolvable leads nowhere; an interface object is entered under the interface's name."""
    moves = {(str(move.target), str(move.key[0]), move.typename) for move in graph().moves(Node("a", "Book"))}
    assert moves == {
        ("Book/a", "id", "Book"),
        ("Book/b", "id", "Book"),
        ("Book/c", "id", "Book"),
        ("Item/d", "id", "Item"),
    }


def test_an_interface_object_has_all_implementations_types() -> None:
    """It cannot tell them apart, but each may stand behind it."""
    node = Node("d", "Item")
    assert graph().is_interface_object(node)
    assert not graph().is_abstract(node)
    assert graph().possible(node) == {"Book", "Film"}


def test_everything_an_operation_can_reach_is_walked_once() -> None:
    """Views are nodes of their own."""
    nodes = list(graph().reachable())
    assert len(nodes) == len(set(nodes))
    assert {"Query/a", "Book/a providing title", "Item/d", "Book/c"} <= set(map(str, nodes))


def test_a_field_set_that_does_not_fit_is_refused() -> None:
    """A supergraph whose keys name unknown fields, or are no selections, says so."""
    with pytest.raises(SupergraphError, match=r"Book\.nothing"):
        graph().field_set(Node("a", "Book"), "id nothing")
    with pytest.raises(SupergraphError, match="not valid"):
        graph().field_set(Node("a", "Book"), "id {")
