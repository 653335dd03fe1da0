"""How long planning takes where everything can be had everywhere: ``python -m benchmarks.plan``.

An operation of more than 5 KB over seven subgraphs that all know nearly every field. The number of combinations of
paths is astronomic; the planner must not try them.
"""

from __future__ import annotations

import time
from random import Random

from router.planner.plan import plan
from router.query_plan.printer import print_plan
from tests.router.planner.support import query_graph, read_operation, supergraph_sdl
from tests.router.planner.test_plan import WIDE, fetches, wide_operation, wide_subgraphs

RUNS = 5


def main() -> None:
    """Print the best and the worst of some runs, and what came of it."""
    graph = query_graph(supergraph_sdl(wide_subgraphs()))
    source = wide_operation(Random(3), 4)
    operation = read_operation(graph, source)
    seconds = []
    for _ in range(RUNS):
        began = time.process_time()
        made = plan(graph, operation, deadline=60)
        seconds.append(time.process_time() - began)
    requests = len(fetches(made.node))
    assert requests == WIDE, "one request a subgraph"
    print(
        f"{len(source)} characters, {WIDE} subgraphs: {requests} requests, {len(print_plan(made))} characters of plan"
    )
    print(f"processor seconds: best {min(seconds):.3f}, worst {max(seconds):.3f}")


if __name__ == "__main__":
    main()
