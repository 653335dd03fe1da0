"""Rewrites of the fetch graph, in the order they run. Each leaves a graph whose plan gives the same answer."""

from __future__ import annotations

from router.planner.passes.batch import batch
from router.planner.passes.deduplicate import deduplicate
from router.planner.passes.drop_empty import drop_empty
from router.planner.passes.merge_siblings import merge_siblings

PASSES = (drop_empty, batch, merge_siblings, deduplicate)
