"""One case: run an operation over subgraphs and over the unsplit schema, and tell the difference."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLSchema, execute_sync, lexicographic_sort_schema, parse, print_type, validate

from router.composition.compose import SubgraphInput, compose
from router.errors import PlanningError
from router.executor.execute import execute_plan
from router.executor.run import ExecutionContext
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.operation.normalize import normalize, select_operation
from router.operation.passes.conditions import condition_variables
from router.operation.variables import coerce_variables
from router.planner.plan import plan
from router.query_graph.build import QueryGraph
from router.query_plan.codec import from_json, to_json
from router.query_plan.nodes import QueryPlan
from router.query_plan.printer import print_plan
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.differential.data import Rows
from tests.router.differential.interpret import Monolith, Subgraph, directive, resolve_type
from tests.router.differential.operations import DrawnOperation


@dataclass
class Graph:
    """A split graph with its data. ``labels`` are the active override labels."""

    subgraphs: dict[str, str]
    monolith: str
    rows: Rows
    labels: list[str] = field(default_factory=list)


class Difference(AssertionError):
    """The federated answer is not the unsplit one."""


class Bench:
    """A graph, composed and ready for operations. Raises Refused if it does not compose."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        made = compose([SubgraphInput(name, f"http://{name}", sdl) for name, sdl in graph.subgraphs.items()])
        if made.supergraph_sdl is None:
            raise Refused([str(error) for error in made.errors])
        supergraph = load_supergraph(made.supergraph_sdl)
        self.schema = api_schema(supergraph)
        self.query_graph = QueryGraph(supergraph, frozenset(graph.labels))
        self.monolith = Monolith(graph.monolith, graph.subgraphs, graph.rows)
        self.log: list[str] = []
        self.problems: list[str] = []
        taken = overridden(graph)
        self.servers = {
            name: Subgraph(name, sdl, graph.rows, taken.get(name, set()), self.log)
            for name, sdl in graph.subgraphs.items()
        }

    def compare_schemas(self) -> None:
        """The API schema is the unsplit schema. Raises Difference."""
        found, expected = described(self.schema), described(self.monolith.schema)
        if found != expected:
            raise Difference(f"API schema:\n{found}\n\nunsplit schema:\n{expected}\n\n{self.story()}")

    def plan(self, operation: DrawnOperation) -> QueryPlan:
        """The operation's plan."""
        document = parse(operation.source)
        variables = coerce_variables(self.schema, select_operation(document, None), operation.variables)
        conditions = {name: variables[name] for name in condition_variables(document) if name in variables}
        return plan(self.query_graph, normalize(document, None, self.schema, conditions), deadline=20.0)

    def federated(self, query_plan: QueryPlan, operation: DrawnOperation) -> dict[str, Any]:
        """The router's answer."""
        document = parse(operation.source)
        variables = coerce_variables(self.schema, select_operation(document, None), operation.variables)
        transports = {name: InProcessTransport(self._serving(server)) for name, server in self.servers.items()}
        self.log.clear()
        self.problems.clear()
        body = asyncio.run(execute_plan(query_plan, variables, transports, ExecutionContext()))
        answer: dict[str, Any] = json.loads(body)
        return answer

    def compare(self, operation: DrawnOperation) -> None:
        """Raises Difference if clients could tell the split graph from the unsplit one."""
        document = parse(operation.source)
        expected = execute_sync(
            self.monolith.schema,
            document,
            variable_values=operation.variables,
            field_resolver=self.monolith.resolve,
            type_resolver=resolve_type,
        ).formatted
        try:
            query_plan = self.plan(operation)
        except (PlanningError, AssertionError, KeyError, ValueError) as error:
            raise Difference(f"no plan: {error!r}\n{self.story(operation)}") from error
        found = self.federated(from_json(to_json(query_plan)), operation)
        story = f"expected {json.dumps(expected)}\nfound    {json.dumps(found)}\n{print_plan(query_plan)}"
        if self.problems:
            raise Difference(f"{self.problems}\n{story}\n{self.story(operation)}")
        same = json.dumps(found.get("data")) == json.dumps(expected.get("data"))
        if not same or bool(found.get("errors")) != bool(expected.get("errors")):
            raise Difference(f"{story}\n{self.story(operation)}")

    def story(self, operation: DrawnOperation | None = None) -> str:
        """Everything needed to see what went wrong."""
        parts = [f"--- {name}\n{sdl}" for name, sdl in self.graph.subgraphs.items()]
        asked = f"{operation.source}\nvariables {operation.variables}\n" if operation else ""
        return f"{asked}labels {self.graph.labels}\n" + "\n".join(parts)

    def _serving(self, server: Subgraph) -> Any:
        async def execute(request: SubgraphRequest) -> SubgraphResponse:
            document = parse(request.query)
            errors = validate(server.schema, document)
            if errors:
                self.problems.append(f"{server.name} cannot understand {request.query}: {errors[0]}")
                return SubgraphResponse(None, [{"message": "not valid"}])
            result = execute_sync(
                server.schema,
                document,
                variable_values=request.variables,
                field_resolver=server.resolve,
                type_resolver=resolve_type,
            )
            if result.errors:
                self.problems.append(f"{server.name}: {result.errors[0]}: {request.query} {request.variables}")
            return SubgraphResponse(result.data, [error.formatted for error in result.errors or ()] or None)  # type: ignore[misc]

        return execute


class Refused(Exception):
    """A graph that does not compose."""


def overridden(graph: Graph) -> dict[str, set[tuple[str, str]]]:
    """By subgraph: the fields that another one has taken over, given the active labels.

    While a label is not active it is the taker that must not be asked.
    """
    found: dict[str, set[tuple[str, str]]] = {}
    for name, sdl in graph.subgraphs.items():
        for node in parse(sdl).definitions:
            for f in getattr(node, "fields", None) or ():
                given = directive(f, "override")
                if given is None:
                    continue
                label = given.get("label")
                loser = name if label and label not in graph.labels else given["from"]
                found.setdefault(loser, set()).add((node.name.value, f.name.value))  # type: ignore[attr-defined]
    return found


def described(schema: GraphQLSchema) -> str:
    """A schema's types, sorted."""
    types = lexicographic_sort_schema(schema).type_map.values()
    return "\n".join(print_type(t) for t in types if not t.name.startswith("__") and t.name not in BUILT_IN)


BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}
