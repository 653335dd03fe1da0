"""``schema/`` says what the code says, and the demo's operations cost what was reviewed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dure import schema
from dure.demo.client import OPERATIONS
from dure.settings import ROOT
from router.pipeline.report import rounds
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.nodes import Fetch, Parallel, PlanNode, Sequence, Subscription
from router.query_plan.printer import print_plan
from router.supergraph.load import load_supergraph
from tests.router.planner.support import read_operation

SUPERGRAPH = ROOT / "schema/supergraph.graphql"
GOLDEN = Path(__file__).parent / "plans"


def test_the_committed_schema_is_the_codes() -> None:
    assert schema.drift(ROOT / "schema") == [], "run `make schema` and review what changed"


def test_a_drifted_schema_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "schema", tmp_path / "schema")
    path = tmp_path / "schema/subgraphs/orders.graphql"
    path.write_text(path.read_text().replace("orderCancel", "orderCancelled"))
    assert schema.drift(tmp_path / "schema") == [Path("subgraphs/orders.graphql")]


def requests(node: PlanNode | None) -> int:
    """How many requests to subgraphs a plan makes."""
    match node:
        case None:
            return 0
        case Fetch():
            return 1
        case Sequence(nodes) | Parallel(nodes):
            return sum(map(requests, nodes))
        case Subscription(_, rest):
            return 1 + requests(rest)
    raise AssertionError(f"no other node in the demo: {node}")


@pytest.fixture(scope="module")
def graph() -> QueryGraph:
    return QueryGraph(load_supergraph(SUPERGRAPH.read_text()))


@pytest.mark.parametrize("path", sorted(OPERATIONS.glob("*.graphql")), ids=lambda path: path.stem)
def test_each_operation_of_the_demo_has_the_reviewed_plan(path: Path, graph: QueryGraph, update_golden: bool) -> None:
    made = plan(graph, read_operation(graph, path.read_text()), deadline=30)
    text = f"# {requests(made.node)} requests in {rounds(made.node)} rounds\n{print_plan(made)}\n"
    golden = GOLDEN / f"{path.stem}.plan"
    if update_golden:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text(), "run pytest with --update-golden and review what changed"


def test_the_command_prints_the_same_plan() -> None:
    path = OPERATIONS / "product_page.graphql"
    command = [sys.executable, "-m", "router", "plan", "--supergraph", str(SUPERGRAPH), "--operation", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    golden = (GOLDEN / "product_page.plan").read_text().partition("\n")[2]
    assert printed.strip() == golden.strip()


def test_costs_are_no_higher_than_the_best_known() -> None:
    """Requests of the demo's pages beside the contract's plan vectors, merged by hand: product page 3, order 5."""
    costs = {path.stem: int(path.read_text().split()[1]) for path in GOLDEN.glob("*.plan")}
    known = {"product_page": 3, "read_order": 5, "my_page": 8, "project_page": 3}
    assert {name: costs[name] for name in known if costs[name] > known[name]} == {}
