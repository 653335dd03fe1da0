"""What an answer cost in sub-requests: ``extensions.plan``, for development."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from router.executor.run import Sent
from router.query_plan.nodes import Defer, Fetch, Parallel, PlanNode, QueryPlan, Sequence, Subscription
from router.query_plan.printer import print_plan


def reporter(plan: QueryPlan, cost: int) -> Callable[[list[Sent]], dict[str, Any]]:
    """Makes ``extensions`` from the requests that one execution has sent and its estimated cost."""
    round_of = dict(_starts(plan.node, 1))

    def report(sent: list[Sent]) -> dict[str, Any]:
        return {
            "plan": {
                "fetches": len(sent),
                "rounds": rounds(plan.node),
                "subgraphs": sorted({request.subgraph for request in sent}),
                "requests": [
                    {
                        "fetch": request.fetch,
                        "round": round_of[request.fetch],
                        "subgraph": request.subgraph,
                        "ms": round(request.milliseconds, 3),
                        "representations": request.representations,
                    }
                    for request in sent
                ],
                "text": print_plan(plan),
            },
            "cost": {"estimated": cost},
        }

    return report


def rounds(node: PlanNode | None) -> int:
    """How many requests wait for one another: the plan's length in time."""
    match node:
        case Fetch():
            return 1
        case Sequence(nodes):
            return sum(map(rounds, nodes))
        case Parallel(nodes):
            return max(map(rounds, nodes), default=0)
        case Defer(primary, deferred):
            return rounds(primary) + max((rounds(part.node) for part in deferred), default=0)
        case Subscription(_, rest):
            return 1 + rounds(rest)
        case None:
            return 0


def _starts(node: PlanNode | None, first: int) -> Iterator[tuple[int, int]]:
    """Every fetch with the round it is sent in, where the node's own begin with ``first``."""
    match node:
        case Fetch(id=id_):
            yield id_, first
        case Sequence(nodes):
            for step in nodes:
                yield from _starts(step, first)
                first += rounds(step)
        case Parallel(nodes):
            for branch in nodes:
                yield from _starts(branch, first)
        case Defer(primary, deferred):
            yield from _starts(primary, first)
            for part in deferred:
                yield from _starts(part.node, first + rounds(primary))
        case Subscription(primary, rest):
            yield from _starts(primary, first)
            yield from _starts(rest, first + 1)
