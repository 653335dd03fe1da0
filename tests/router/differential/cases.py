"""Cases by seed, and cases as files: subgraphs, unsplit schema, data, operation."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from tests.router.differential.blueprint import World
from tests.router.differential.compare import Bench, Graph, Refused
from tests.router.differential.data import draw_rows
from tests.router.differential.draw import draw_world
from tests.router.differential.operations import DrawnOperation, draw_operation

OPERATIONS = 4
"""Operations over one graph: composing it is what takes the time."""


def draw_graph(random: Random) -> Graph:
    """A random split graph and its data."""
    world: World = draw_world(random)
    labels = random.choice(([], ["moving"]))
    rows = draw_rows(random, world)
    return Graph({name: world.sdl(name) for name in world.subgraphs}, world.monolith(), rows, labels)


def check(random: Random) -> int:
    """Compare some operations over a random graph; how many. Raises Difference, and Refused if it does not compose."""
    bench = Bench(draw_graph(random))
    bench.compare_schemas()
    done = 0
    for _ in range(OPERATIONS):
        operation = draw_operation(random, bench.schema)
        if operation is not None:
            bench.compare(operation)
            done += 1
    return done


def save(path: Path, graph: Graph, operation: DrawnOperation, why: str) -> None:
    """Keep a case as a file."""
    sections = [("why", why), *((f"subgraph {name}", sdl) for name, sdl in graph.subgraphs.items())]
    sections += [
        ("unsplit", graph.monolith),
        ("labels", " ".join(graph.labels)),
        ("data", json.dumps(graph.rows)),
        ("operation", operation.source),
        ("variables", json.dumps(operation.variables)),
    ]
    path.write_text("".join(f"=== {head}\n{body.strip()}\n" for head, body in sections), encoding="utf-8")


def load(path: Path) -> tuple[Graph, DrawnOperation]:
    """Read what ``save`` wrote."""
    sections: dict[str, str] = {}
    for section in path.read_text(encoding="utf-8").split("=== ")[1:]:
        head, _, body = section.partition("\n")
        sections[head] = body
    subgraphs = {head.split(" ")[1]: body for head, body in sections.items() if head.startswith("subgraph ")}
    graph = Graph(subgraphs, sections["unsplit"], json.loads(sections["data"]), sections["labels"].split())
    return graph, DrawnOperation(sections["operation"], json.loads(sections["variables"]))


__all__ = ["Refused", "check", "draw_graph", "load", "save"]
