"""Who calls while schemathesis does: one of each kind, with things of their own, and the ids of what there is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from dure.demo_data.people import SELLERS
from tests.dure.rest import demo_password
from tests.dure.shop import Buyer, ShopProcess, choose, settled, visiting, wish

LOG_INS = {
    "partner": f"owner@{SELLERS[0].slug}.example",
    "operator": "operator@dure.example",
}
CALLERS = ("anonymous", "customer", *LOG_INS)

CART = "mutation($id: ID!) { cartLinesAdd(lines: [{variantId: $id, quantity: 1}]) { cart { id } userErrors { code } } }"
REWARDS = '{ projectSearch(query: "두레 공방") { edges { node { id rewards { id soldOut } } } } }'
THINGS = """{
  me {
    id sessions { id } addresses { id } paymentMethods { id } cart { id lines { id } }
    notifications { edges { node { id } } }
    orders { edges { node { id lines { id } payments { id } shipments { id } } } } pledges { edges { node { id } } }
    partner { id application { id } products(first: 3) { edges { node { id variants { id } } } }
      orders(first: 5) { edges { node { id lines { id } shipments { id } } } } }
  }
  productSearch(first: 5) { edges { node { id partner { id } categories { id } nutrients { nutrient { id } }
    variants { id } sellingPlans { id } reviews(first: 2) { edges { node { id author { id } } } } } } }
  projectSearch(first: 5) { edges { node { id creator { id } category { id } rewards { id }
    comments(first: 2) { edges { node { id } } } posts(first: 2) { edges { node { id } } } } } }
}"""


async def tokens(shop: ShopProcess, buyer: Buyer) -> dict[str, str | None]:
    """An access token of each kind of caller, None for the anonymous; the customer is ``buyer``."""
    found: dict[str, str | None] = {"anonymous": None, "customer": buyer.token}
    async with visiting(shop.url) as client:
        for kind, email in LOG_INS.items():
            answer = await client.ask("log_in", email=email, password=demo_password(shop))
            found[kind] = answer.data["tokenCreate"]["tokens"]["accessToken"]
    return found


async def use(shop: ShopProcess, buyer: Buyer) -> None:
    """The buyer buys, fills a cart and pledges, so that there is something to ask for."""
    async with visiting(shop.url, buyer) as client:
        variant = await choose(client)
        placed = await client.ask("place_order", input=wish(buyer, variant), key=secrets.token_hex(8))
        await settled(client, placed.data["orderCreate"]["order"]["id"])
        await client.ask_text(CART, id=variant["id"])
        (edge,) = (await client.ask_text(REWARDS)).data["projectSearch"]["edges"]
        reward = next(each for each in edge["node"]["rewards"] if not each["soldOut"])
        pledge = {"projectId": edge["node"]["id"], "rewardId": reward["id"], "quantity": 1}
        paying = {"paymentMethodId": buyer.card_id, "addressId": buyer.address_id}
        await client.ask("pledge", input=pledge | paying, key=secrets.token_hex(8))


async def ids(shop: ShopProcess, callers: Mapping[str, str | None]) -> list[str]:
    """Ids of everything that the callers can see."""
    found: set[str] = set()
    async with aiohttp.ClientSession(shop.url) as session:
        for token in callers.values():
            headers = {"authorization": f"Bearer {token}"} if token else {}
            async with session.post("/graphql", json={"query": THINGS}, headers=headers) as response:
                found |= set(_ids(await response.json()))
    return sorted(found)


def _ids(answer: Any) -> Iterator[str]:
    if isinstance(answer, dict):
        yield from (value for key, value in answer.items() if key == "id")
        answer = list(answer.values())
    if isinstance(answer, list):
        for each in answer:
            yield from _ids(each)
