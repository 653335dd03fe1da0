"""A subscription: one root fetch opens the stream, the rest is fetched for every event."""

from __future__ import annotations

from router.errors import PlanningError
from router.query_plan.nodes import Fetch, PlanNode, Sequence, Subscription


def as_subscription(node: PlanNode | None) -> PlanNode | None:
    """Split the first fetch off. A subscription has a single root field, so there is just one."""
    if node is None:
        return None
    if isinstance(node, Fetch):
        return Subscription(node, None)
    if isinstance(node, Sequence) and isinstance(node.nodes[0], Fetch):
        rest = node.nodes[1:]
        return Subscription(node.nodes[0], rest[0] if len(rest) == 1 else Sequence(rest))
    raise PlanningError("a subscription must start in a single subgraph")
