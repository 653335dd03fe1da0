"""Composition's rules, one a file: each looks at one thing and reports what is wrong with it."""

from collections.abc import Callable

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext
from router.composition.model import Report, Subgraph

SUBGRAPH_RULES: tuple[Callable[[Subgraph, Report], None], ...] = ()
MERGE_RULES: tuple[Callable[[MergeContext, Merged], None], ...] = ()
