"""Before an edition is served: can it run what was published, and are the plans there that will be asked for?

Operations are tried one after the other, so one of the threads that parse and plan is always free for requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice, product

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


logger = logging.getLogger(__name__)


async def try_published(graph: Graph, operations: Sequence[PersistedOperation], limits: Limits) -> dict[str, str]:
    """Plan published operations, for strangers and for people. Those that cannot be run, by their text, and why."""
    broken: dict[str, str] = {}
    for published in operations:
        try:
            operation = await graph.documents.operation(published.body, published.name)
            check_fields(operation.fields, limits, signed_in=True)
            for choice in _choices(graph, operation, room=graph.plans.size // len(operations)):
                await graph.plans.plan(operation, choice)
        except RequestError as error:
            broken[published.body] = f"{published.name}: {error}"
        except Exception as error:
            # A bug of ours that one operation meets. The others must not suffer.
            logger.exception("the persisted operation %s cannot be planned", published.name)
            broken[published.body] = f"{published.name}: internal error: {type(error).__name__}"
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
        except Exception:
            logger.exception("an operation cannot be planned any more")


def _choices(graph: Graph, operation: PreparedOperation, room: int) -> Iterator[Choice]:
    """What the operation is planned for: for everything it asks for in any case, and more as far as there is room."""
    labels = graph.labels.roll()
    conditions = [operation.condition_values(operation.defaults)]
    if len(operation.conditions) <= CONDITIONS:
        values = product((False, True), repeat=len(operation.conditions))
        conditions = [operation.condition_values(dict(zip(operation.conditions, one, strict=True))) for one in values]
    for granted, one in islice(product(graph.plans.rules.typical, conditions), max(1, room)):
        yield Choice(one, granted, labels, operation.defers)
