"""The planner: an operation and a query graph in, a query plan out.

intake      what the client asks for, as wants; every field's data key
search      the best query tree
build       the fetch graph of that tree
passes      rewrites of the fetch graph, in a fixed order
linearize   plan nodes
shape       how the data becomes the answer
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from router.errors import PlanningError
from router.operation.model import Operation
from router.planner.build_fetches import FetchBuilder
from router.planner.contexts import add_contexts
from router.planner.deferred import add_deferred
from router.planner.fetch_graph import FetchGraph
from router.planner.intake import Intake
from router.planner.introspection import introspection_part
from router.planner.linearize import sequence
from router.planner.passes import PASSES
from router.planner.positions import Position
from router.planner.query_tree import Branch
from router.planner.search import Search
from router.planner.shape import make_shape
from router.planner.subscription import as_subscription
from router.query_graph.build import QueryGraph
from router.query_graph.model import Node, Want
from router.query_plan.nodes import PlanNode, QueryPlan

DEADLINE = 1.0
"""Seconds a plan may take."""


def plan(graph: QueryGraph, operation: Operation, *, deadline: float = DEADLINE) -> QueryPlan:
    """Plan an operation that is valid against the API schema.

    ``deadline`` is in seconds of wall-clock time. Override labels are part of the graph. Raises PlanningError if some
    field cannot be reached, or the deadline has passed.
    """
    return finish(Stages(graph, operation, time.monotonic() + deadline))


def finish(stages: Stages) -> QueryPlan:
    """Take an operation through all stages."""
    operation = stages.operation
    node = sequence(stages.linearize(step) for step in stages.steps())
    if operation.kind == "subscription":
        node = as_subscription(node)
    shape = make_shape(stages.intake, stages.entries)
    return QueryPlan(operation.kind, node, shape, introspection_part(operation))


@dataclass(eq=False, slots=True)
class Step:
    """A part of the operation that is planned for itself, and run when the one before is done."""

    branch: Branch
    fetches: FetchGraph


class Stages:
    """One operation on its way through the planner, so that every stage can be looked at."""

    def __init__(self, graph: QueryGraph, operation: Operation, deadline: float) -> None:
        self.graph = graph
        self.operation = operation
        self.search = Search(graph, deadline)
        self.intake = Intake(graph.supergraph)
        self.entries = self.intake.read(operation)
        self.wants = add_contexts(graph, self.intake.wants(self.entries), operation.root_type)
        self.root = Node("", operation.root_type)
        self.variables = {variable.name: variable for variable in operation.variables}
        self.fetch_count = 0

    def steps(self) -> list[Step]:
        """The operation in steps: one, but for a mutation whose fields belong to several subgraphs."""
        return [self.step(branch, self.entries.position) for branch in self.branches()]

    def branches(self) -> list[Branch]:
        """The best query tree of each step."""
        if self.operation.kind != "mutation":
            return [self.solve(self.wants)] if self.wants else []
        runs: list[list[Want]] = []
        last = None
        for want in self.wants:
            subgraph = self.solve((want,)).enters[0].move.target.subgraph
            if subgraph == last:
                runs[-1].append(want)
            else:
                runs.append([want])
            last = subgraph
        return [self.solve(tuple(run)) for run in runs]

    def solve(self, wants: tuple[Want, ...]) -> Branch:
        """The best query tree for root fields."""
        branch = self.search.solve(wants, self.root)
        if branch is None:
            unreachable = [want.name for want in wants if self.search.solve((want,), self.root) is None]
            raise PlanningError(f"no subgraphs can answer {self.root.type}.{', '.join(unreachable)} as it is asked for")
        return branch

    def step(self, branch: Branch, position: Position) -> Step:
        """The fetch graph of a query tree, rewritten."""
        fetches = FetchBuilder(self.graph, self.operation.kind, self.fetch_count).build(branch, position)
        self.fetch_count += len(fetches.groups)
        for rewrite in PASSES:
            rewrite(fetches)
        return Step(branch, fetches)

    def linearize(self, step: Step) -> PlanNode | None:
        """The plan nodes of a step."""
        return add_deferred(self.intake, step.fetches, self.variables)
