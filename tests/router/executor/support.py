"""Plans and subgraphs for the executor's tests, small enough to read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from router.executor.execute import CompiledPlan
from router.executor.run import ExecutionContext
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.query_plan.nodes import (
    EntityFetch,
    Fetch,
    Items,
    Key,
    Parallel,
    QueryPlan,
    RepresentationField,
    RepresentationSelection,
    Sequence,
    Shape,
    ShapeField,
    ShapeVariant,
)

Answer = Callable[[SubgraphRequest], Any]


class Subgraph:
    """A subgraph that answers what it is told, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[SubgraphRequest] = []
        self._answer = answer
        self.transport = InProcessTransport(self._execute, self._subscribe)

    async def _execute(self, request: SubgraphRequest) -> SubgraphResponse:
        self.requests.append(request)
        return response(self._answer(request))

    async def _subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        self.requests.append(request)
        for event in self._answer(request):
            yield response(event)


def response(answer: Any) -> SubgraphResponse:
    """An answer given as a response, or as data alone."""
    return answer if isinstance(answer, SubgraphResponse) else SubgraphResponse(answer)


def shape(type_name: str, *fields: ShapeField) -> Shape:
    """The shape of an object type."""
    return Shape(False, (ShapeVariant(frozenset((type_name,)), fields),))


def field(name: str, type_: str, of: Shape | None = None, key: str | None = None) -> ShapeField:
    """A member written under ``name`` and read from the same data key, unless another is given."""
    return ShapeField(name, key or name, type_, shape=of)


REVIEWS = EntityFetch(
    alias="_entities",
    variable="representations",
    paths=((Key("products"), Items()),),
    representations=(
        RepresentationSelection(
            frozenset(("Product",)), "Product", (RepresentationField("upc", "upc", required=True),)
        ),
    ),
)
PRODUCTS = Fetch(1, "products", "query", "{products{__typename upc name}}")
RATINGS = Fetch(
    2,
    "reviews",
    "query",
    "query($representations:[_Any!]!){_entities(representations:$representations){...on Product{rating}}}",
    entities=(REVIEWS,),
)
PRODUCT = shape("Product", field("title", "String", key="name"), field("rating", "Int"))
PLAN = QueryPlan(
    "query", Sequence((PRODUCTS, Parallel((RATINGS,)))), shape("Query", field("products", "[Product]", PRODUCT))
)


async def run(plan: QueryPlan, variables: dict[str, Any] | None = None, **subgraphs: Subgraph) -> Any:
    """The answer to one execution, as JSON."""
    transports = {name: subgraph.transport for name, subgraph in subgraphs.items()}
    return orjson.loads(await CompiledPlan(plan).execute(variables or {}, transports, ExecutionContext()))
