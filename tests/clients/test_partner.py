"""The partner's client: generated from its operations, and held to them by the router."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from clients.partner import operations
from clients.partner.generate import MANIFEST, files, generate
from clients.partner.transport import PartnerClient, Refused, Unavailable
from router.app import create_app
from router.pipeline.persisted import read_manifest
from router.settings import Settings
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.pipeline.persisting import client
from tests.router.pipeline.test_full_stack import listening

SUPERGRAPH = Path("schema/supergraph.graphql").read_text(encoding="utf-8")
KEY = "the-partners-key"
ORDER = {
    "order": {
        "id": "1",
        "number": "N-1",
        "status": "A_LATER_STATUS",
        "placedAt": "2026-11-21T00:00:00Z",
        "lines": [
            {
                "id": "2",
                "sku": "S",
                "productName": "Tea",
                "quantity": 2,
                "total": {"amount": "12000.50", "currencyCode": "KRW"},
            }
        ],
    }
}


def answering(*answers: Any) -> tuple[PartnerClient, list[Any]]:
    """A client of a server that gives these answers, and what it was sent."""
    sent: list[Any] = []
    waiting = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(orjson.loads(request.content))
        answer = waiting.pop(0)
        if isinstance(answer, int):
            return httpx.Response(answer, headers={"retry-after": "0"}, content=b"busy")
        return httpx.Response(200, json=answer)

    made = PartnerClient("http://graph.test/graphql", KEY)
    made._http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return made, sent


def test_generated_files_are_what_the_operations_say() -> None:
    """Otherwise: python -m clients.partner.generate."""
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, path


def test_operations_that_do_not_fit_the_api_are_refused() -> None:
    """The generator checks them against the schema."""
    schema = api_schema(load_supergraph(SUPERGRAPH))
    with pytest.raises(ValueError, match="Cannot query field"):
        generate(schema, "query Bad { nothing }")
    with pytest.raises(ValueError, match="fragments"):
        generate(schema, "query Bad { ...F } fragment F on Query { __typename }")


async def test_results_are_typed_and_only_hashes_are_sent() -> None:
    """Decimals and times are values, and an enum's later value does no harm."""
    made, sent = answering({"data": ORDER})
    async with made:
        order = (await operations.partner_order(made, number="N-1")).order
    assert order is not None
    assert order.placed_at is not None
    assert order.placed_at.year == 2026
    assert order.lines[0].total.amount == Decimal("12000.50")
    assert sent == [{"documentId": read_manifest(MANIFEST).by_name["PartnerOrder"].id, "variables": {"number": "N-1"}}]


async def test_queries_are_tried_again_and_mutations_are_not() -> None:
    """A mutation that may have happened is the caller's to decide about."""
    made, sent = answering(503, 429, {"data": ORDER})
    async with made:
        await operations.partner_order(made, number="N-1")
        assert len(sent) == 3
    made, sent = answering(503)
    async with made:
        with pytest.raises(Unavailable, match="503"):
            await operations.shipment_mark_ready(made, id="1")
    assert len(sent) == 1


async def test_the_router_runs_the_manifest_for_the_key_and_nothing_else() -> None:
    """Over HTTP: a persisted operation gets as far as authorization; a document of one's own does not."""
    settings = Settings(clients={"partner": client(KEY, MANIFEST, safelist=True)})
    app = create_app(SUPERGRAPH, settings)
    async with listening(app) as url:
        async with PartnerClient(url, KEY) as made:
            with pytest.raises(Refused) as refused:
                await operations.shipment_mark_ready(made, id="1")
            assert refused.value.codes == ("UNAUTHENTICATED",)
            with pytest.raises(Refused) as refused:
                await made.run("0" * 64, {}, operations.PartnerOrder, again=False)
            assert refused.value.codes == ("PERSISTED_QUERY_NOT_FOUND",)
            answer = await made._http.post(url, json={"query": "{ __typename }"})
            assert answer.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_ONLY"
        async with PartnerClient(url, "a guess") as made:
            with pytest.raises(Refused) as refused:
                await operations.partner_order(made, number="1")
            assert refused.value.codes == ("UNAUTHENTICATED",)
