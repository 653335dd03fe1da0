"""The partner's client against a whole shop: it handles its orders by hashes, and its key opens nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from clients.partner import operations
from clients.partner.transport import PartnerClient, Refused
from dure.demo_data.people import SELLERS
from tests.dure.rest import demo_password
from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish

pytestmark = pytest.mark.e2e

FREE = {"query": "{ me { id } }"}
UNKNOWN = {"documentId": "0" * 64}
ANYTHING = "{ __typename }"
REGISTERING = {
    "query": ANYTHING,
    "extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(ANYTHING.encode()).hexdigest()}},
}


def partner_key(shop: ShopProcess) -> str:
    """The key that the shop's first start made for its partner integration."""
    return str(json.loads((shop.folder / "secrets.json").read_text())["DURE_PARTNER_KEY"])


async def bought(shop: ShopProcess, buyer: Buyer) -> dict[str, Any]:
    """A paid order."""
    async with visiting(shop.url, buyer) as visitor:
        wanted = wish(buyer, await choose(visitor))
        placed = await visitor.ask("place_order", input=wanted, key=secrets.token_hex(8))
        order = await settled(visitor, placed.data["orderCreate"]["order"]["id"])
    assert order["status"] == "PAID"
    return order


async def seller_token(shop: ShopProcess, name: str) -> str:
    """An access token of the demo's seller with this name."""
    seller = next(each for each in SELLERS if each.name == name)
    async with visiting(shop.url) as visitor:
        answer = await visitor.ask("log_in", email=f"owner@{seller.slug}.example", password=demo_password(shop))
    return str(answer.data["tokenCreate"]["tokens"]["accessToken"])


async def shipped(client: PartnerClient, order: dict[str, Any]) -> None:
    """Find the order's parcel among those to dispatch, and send it off."""
    deadline = time.monotonic() + 20
    while True:
        me = (await operations.partner_shipments(client)).me
        assert me is not None
        assert me.partner is not None
        (line,) = order["lines"]
        parcels = [
            each
            for each in me.partner.shipments_to_dispatch or []
            if any(part.order_line and part.order_line.product_name == line["productName"] for part in each.lines)
        ]
        if parcels:
            break
        assert time.monotonic() < deadline, "no parcel to dispatch"
        await asyncio.sleep(0.05)
    parcel = parcels[0]
    ready = (await operations.shipment_mark_ready(client, id=parcel.id)).shipment_mark_ready
    assert ready.shipment is not None, ready.user_errors
    sent = await operations.shipment_dispatch(client, id=parcel.id, carrier_code="CJ", tracking_number="123456789012")
    assert sent.shipment_dispatch.shipment is not None, sent.shipment_dispatch.user_errors
    assert sent.shipment_dispatch.shipment.status == "DISPATCHED"


async def test_a_partner_sends_off_an_order_by_hashes_and_can_do_nothing_else(
    copied: tuple[ShopProcess, Buyer],
) -> None:
    """Its order and parcel are found and dispatched; documents, other hashes, sockets and other keys are refused."""
    shop, buyer = copied
    await shop.start()
    order = await bought(shop, buyer)
    token = await seller_token(shop, order["lines"][0]["partner"]["name"])
    key = partner_key(shop)
    async with PartnerClient(f"{shop.url}/graphql", key, token) as client:
        seen = (await operations.partner_order(client, number=order["number"])).order
        assert seen is not None
        assert [line.product_name for line in seen.lines] == [order["lines"][0]["productName"]]
        await shipped(client, order)
    async with PartnerClient(f"{shop.url}/graphql", "partner_guess", token) as stranger:
        with pytest.raises(Refused) as refused:
            await operations.partner_order(stranger, number=order["number"])
        assert refused.value.codes == ("UNAUTHENTICATED",)
    headers = {"x-api-key": key, "authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        assert await codes(session, shop, FREE) == ["PERSISTED_QUERY_ONLY"]
        assert await codes(session, shop, UNKNOWN) == ["PERSISTED_QUERY_NOT_FOUND"]
        assert await codes(session, shop, REGISTERING) == ["PERSISTED_QUERY_ONLY"]
        assert await over_a_socket(session, shop) == ["PERSISTED_QUERY_ONLY"]
        async with session.get(f"{shop.url}/order/orders") as answer:
            assert (await answer.json())["code"] == "PERSISTED_QUERY_ONLY"
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session:
        assert await codes(session, shop, FREE) == [], "without the key the same person may ask freely"


async def codes(session: aiohttp.ClientSession, shop: ShopProcess, body: dict[str, Any]) -> list[str]:
    """The codes of the errors that a request is answered with."""
    async with session.post(f"{shop.url}/graphql", json=body) as answer:
        return [error["extensions"]["code"] for error in (await answer.json()).get("errors", [])]


async def over_a_socket(session: aiohttp.ClientSession, shop: ShopProcess) -> list[str]:
    """The same of a document over a WebSocket."""
    async with session.ws_connect(f"{shop.url}/graphql", protocols=("graphql-transport-ws",)) as socket:
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json(timeout=10))["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": FREE})
        told = await socket.receive_json(timeout=10)
        return [error["extensions"]["code"] for error in told["payload"]]
