"""``@fromContext``: each object gets its argument from what stands above it, in plan and execution."""

from __future__ import annotations

import json
from typing import Any

from router.executor.execute import execute_plan
from router.executor.run import ExecutionContext
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from tests.router.planner.support import plan_over

SUBGRAPHS = {
    "a": """type Query { shops: [Shop] }
        type Shop @key(fields: "id") @context(name: "shop") { id: ID! currency: String @external items: [Item] }
        type Item @key(fields: "id") { id: ID! name: String
          price(currency: String @fromContext(field: "$shop { currency }")): String }""",
    "b": 'type Shop @key(fields: "id") { id: ID! currency: String }',
}
CURRENCIES = {"1": "KRW", "2": "EUR", "3": "KRW", "4": None}


def answer_a(request: SubgraphRequest) -> dict[str, Any]:
    variables = request.variables or {}
    if "representations" not in variables:
        return {"shops": [{"id": shop, "items": [{"id": "x"}]} for shop in CURRENCIES]}
    currency = variables["contextual_0"]
    return {"_entities": [{"price": f"{item['id']} in {currency}"} for item in variables["representations"]]}


def answer_b(request: SubgraphRequest) -> dict[str, Any]:
    return {
        "_entities": [{"currency": CURRENCIES[shop["id"]]} for shop in (request.variables or {})["representations"]]
    }


async def test_the_same_object_below_different_contexts_gets_different_answers() -> None:
    """One item stands below four shops; it is asked for once for each currency, and each shop has its own price."""
    asked: list[dict[str, Any]] = []

    async def a(request: SubgraphRequest) -> SubgraphResponse:
        asked.append(request.variables or {})
        return SubgraphResponse(answer_a(request))

    async def b(request: SubgraphRequest) -> SubgraphResponse:
        return SubgraphResponse(answer_b(request))

    found = plan_over(SUBGRAPHS, "{ shops { items { price } } }")
    transports = {"a": InProcessTransport(a), "b": InProcessTransport(b)}
    answer = json.loads(await execute_plan(found, {}, transports, ExecutionContext()))
    assert answer == {
        "data": {"shops": [{"items": [{"price": f"x in {currency}"}]} for currency in CURRENCIES.values()]}
    }
    assert [variables.get("contextual_0") for variables in asked[1:]] == ["KRW", "EUR", None]
