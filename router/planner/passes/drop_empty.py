"""Fetches that ask for nothing are not sent."""

from __future__ import annotations

from router.planner.fetch_graph import FetchGraph


def drop_empty(fetches: FetchGraph) -> None:
    """Remove fetches left without a selection; what waited for them waits for what they waited for."""
    for group in list(fetches.groups):
        for tree in group.trees():
            tree.prune()
        if group.empty:
            fetches.remove(group)
