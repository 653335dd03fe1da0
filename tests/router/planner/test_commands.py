"""The commands that show what each stage makes of an operation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router.__main__ import app
from tests.router.planner.support import supergraph_sdl

SUBGRAPHS = {
    "a": 'type Query { user(id: ID!): User } type User @key(fields: "id") { id: ID! name: String }',
    "b": 'type User @key(fields: "id") { id: ID! age: Int }',
}
OPERATION = "query Name($id: ID!) { user(id: $id) { name } } query Both($id: ID!) { user(id: $id) { name age } }"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options that name a supergraph and an operation."""
    supergraph, operation = tmp_path / "supergraph.graphql", tmp_path / "operation.graphql"
    supergraph.write_text(supergraph_sdl(SUBGRAPHS), encoding="utf-8")
    operation.write_text(OPERATION, encoding="utf-8")
    return ["--supergraph", str(supergraph), "--operation", str(operation)]


def test_plan_prints_the_plan_of_the_named_operation(files: list[str]) -> None:
    """Text by default, JSON on demand."""
    text = CliRunner().invoke(app, ["plan", *files, "--operation-name", "Both"])
    assert text.exit_code == 0
    assert text.stdout.startswith("QueryPlan {")
    assert 'Flatten(path: "user")' in text.stdout
    data = CliRunner().invoke(app, ["plan", *files, "--operation-name", "Name", "--json"])
    assert json.loads(data.stdout)["node"]["subgraph"] == "a"


def test_an_operation_can_come_from_standard_input(files: list[str]) -> None:
    """``-`` reads it there."""
    found = CliRunner().invoke(app, ["plan", *files[:2], "--operation", "-"], input='{ user(id: "1") { age } }')
    assert found.exit_code == 0
    assert 'service: "b"' in found.stdout


def test_paths_name_the_ways_to_each_field(files: list[str]) -> None:
    """Each field has its options, with the key that leads there."""
    found = CliRunner().invoke(app, ["paths", *files, "--operation-name", "Both", "--json"])
    ways = json.loads(found.stdout)
    assert set(ways) == {"user", "user.name", "user.age"}
    assert any("move to User/b by { id }" in way for way in ways["user.age"])


def test_fetch_graph_names_every_fetch_and_what_it_waits_for(files: list[str]) -> None:
    """The second fetch comes after the first."""
    found = CliRunner().invoke(app, ["fetch-graph", *files, "--operation-name", "Both", "--json"])
    assert [(fetch["subgraph"], fetch["after"]) for fetch in json.loads(found.stdout)] == [("a", []), ("b", [0])]
    text = CliRunner().invoke(app, ["fetch-graph", *files, "--operation-name", "Both"])
    assert "1 b after [0]" in text.stdout


def test_graph_lists_nodes_and_edges(files: list[str]) -> None:
    """Every reachable node with its fields and moves."""
    found = CliRunner().invoke(app, ["graph", *files[:2], "--json"])
    nodes = json.loads(found.stdout)
    assert "user -> User/a" in nodes["Query/a"]
    assert "move to User/b by { id }" in nodes["User/a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operation-name", "Nobody"], "Nobody"),
        ([], "operation name"),
        (["--operation-name", "Both", "--variables", "{"], "Expecting"),
    ],
)
def test_what_cannot_be_planned_is_said_and_fails(files: list[str], arguments: list[str], message: str) -> None:
    """Exit code 1, the reason on standard error, nothing on standard output."""
    found = CliRunner().invoke(app, ["plan", *files, *arguments])
    assert found.exit_code == 1
    assert message in found.stderr
    assert found.stdout == ""


def test_an_invalid_operation_is_refused(files: list[str]) -> None:
    """Fields the API schema lacks never reach the planner."""
    found = CliRunner().invoke(app, ["plan", *files[:2], "--operation", "-"], input="{ nobody }")
    assert found.exit_code == 1
    assert "Cannot query field 'nobody'" in found.stderr
