"""Making a found difference small enough to read: leave things out as long as it stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from graphql import REMOVE, Visitor, VisitorAction, parse, print_ast, validate, visit

from tests.router.differential.compare import Bench, Difference, Graph, Refused
from tests.router.differential.operations import DrawnOperation

Case = tuple[Graph, DrawnOperation]


def shrink(graph: Graph, operation: DrawnOperation) -> Case:
    """The smallest case reached by leaving out selections, then declarations, one after another."""
    case = graph, operation
    for options in (_smaller_operations, _smaller_graphs, _smaller_operations):
        case = _least(case, options)
    return case


def differs(graph: Graph, operation: DrawnOperation) -> bool:
    """Whether a case, if it is one at all, still shows a difference."""
    try:
        bench = Bench(graph)
        if validate(bench.schema, parse(operation.source)):
            return False
        bench.compare(operation)
    except Difference:
        return True
    except Refused:
        return False
    except Exception:
        # What was left out was needed to make it a case.
        return False
    return False


def _least(case: Case, options: Any) -> Case:
    start = 0
    while True:
        for index, smaller in enumerate(options(*case)):
            if index >= start and differs(*smaller):
                case, start = smaller, index
                break
        else:
            if start == 0:
                return case
            start = 0


def _smaller_operations(graph: Graph, operation: DrawnOperation) -> Iterator[Case]:
    document = parse(operation.source)
    counter = _Leaver(-1)
    visit(document, counter)
    for index in range(counter.seen):
        smaller = print_ast(visit(document, _Leaver(index)))
        yield graph, DrawnOperation(smaller, operation.variables)


class _Leaver(Visitor):
    """Leaves out one selection, directive, definition or argument, by its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.seen = 0

    def _enter(self, *_args: Any) -> VisitorAction:
        self.seen += 1
        return REMOVE if self.seen - 1 == self.number else None

    enter_field = enter_inline_fragment = enter_fragment_spread = enter_directive = _enter
    enter_fragment_definition = enter_variable_definition = enter_argument = _enter


def _smaller_graphs(graph: Graph, operation: DrawnOperation) -> Iterator[Case]:
    for name, sdl in graph.subgraphs.items():
        lines = sdl.split("\n")
        for index, line in enumerate(lines):
            if line.startswith(("  ", "union")):
                smaller = "\n".join([*lines[:index], *lines[index + 1 :]])
                yield replace(graph, subgraphs={**graph.subgraphs, name: smaller}), operation
