"""Before an edition is served: can it run what was published, and are the plans there that will be asked for?

Operations are tried one after the other, so one of the threads that parse and plan is always free for requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from router.errors import RequestError
from router.pipeline.documents import PreparedOperation
from router.pipeline.limits import check_fields
from router.pipeline.persisted import PersistedOperation
from router.pipeline.pipeline import Graph
from router.pipeline.plan_cache import Choice, PlanKey
from router.settings import Limits

CONDITIONS = 2
"""With more variables behind ``@skip`` and ``@include`` only their defaults are planned."""

HOT_SECONDS = 10.0
"""Plans of operations that nobody has published are made for so long at most."""


async def try_published(graph: Graph, operations: Iterable[PersistedOperation], limits: Limits) -> dict[str, str]:
    """Plan published operations, for strangers and for people. Those that cannot be run, by their text, and why."""
    broken: dict[str, str] = {}
    for published in operations:
        try:
            operation = await graph.documents.operation(published.body, published.name)
            check_fields(operation.fields, limits, signed_in=True)
            for choice in _choices(graph, operation):
                await graph.plans.plan(operation, choice)
        except RequestError as error:
            broken[published.body] = f"{published.name}: {error}"
    return broken


async def plan_again(graph: Graph, hot: Sequence[PlanKey]) -> None:
    """Plan what an earlier graph planned. What this one cannot plan is left: nobody has promised it."""
    until = time.monotonic() + HOT_SECONDS
    for text, name, choice in hot:
        if time.monotonic() > until:
            return
        try:
            await graph.plans.plan(await graph.documents.operation(text, name), choice)
        except RequestError:
            continue


def _choices(graph: Graph, operation: PreparedOperation) -> Iterator[Choice]:
    labels = graph.labels.roll()
    conditions = [operation.condition_values(operation.defaults)]
    if len(operation.conditions) <= CONDITIONS:
        values = product((False, True), repeat=len(operation.conditions))
        conditions = [operation.condition_values(dict(zip(operation.conditions, one, strict=True))) for one in values]
    for granted in graph.plans.rules.typical:
        for one in conditions:
            yield Choice(one, granted, labels, operation.defers)
