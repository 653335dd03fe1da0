"""Bad input through the router: the right code, and nothing written anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db.driver import sqlite3
from dure.demo.client import Shop, Unexpected
from subgraphs.kit.ids import global_id, new_ulid
from tests.dure.shop import Buyer, ShopProcess, choose, make_buyer, settled, visiting, wish
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

Change = Callable[[dict[str, Any], Buyer], None]


def line(key: str, value: Any) -> Change:
    def change(order: dict[str, Any], _other: Buyer) -> None:
        order["lines"][0][key] = value

    return change


def put(key: str, value: Any) -> Change:
    def change(order: dict[str, Any], _other: Buyer) -> None:
        order[key] = value

    return change


def theirs(key: str, attribute: str) -> Change:
    def change(order: dict[str, Any], other: Buyer) -> None:
        order[key] = getattr(other, attribute)

    return change


ORDERS: list[tuple[str, Change, str]] = [
    ("unknown variant", line("variantId", global_id("ProductVariant", "01ARZ3NDEKTSV4RRFFQ69G5FAV")), "NOT_FOUND"),
    ("an id of another type", line("variantId", global_id("Product", "01ARZ3NDEKTSV4RRFFQ69G5FAV")), "NOT_FOUND"),
    ("no id at all", line("variantId", "x" * 300), "NOT_FOUND"),
    ("negative quantity", line("quantity", -1), "INVALID"),
    ("no quantity", line("quantity", 0), "INVALID"),
    ("huge quantity", line("quantity", 2_000_000_000), "INVALID"),
    ("no lines", put("lines", []), "REQUIRED"),
    ("unknown address", put("addressId", global_id("Address", "01ARZ3NDEKTSV4RRFFQ69G5FAV")), "NOT_FOUND"),
    ("another user's address", theirs("addressId", "address_id"), "NOT_FOUND"),
    ("unknown card", put("paymentMethodId", global_id("PaymentMethod", "01ARZ3NDEKTSV4RRFFQ69G5FAV")), "NOT_FOUND"),
    ("another user's card", theirs("paymentMethodId", "card_id"), "NOT_FOUND"),
    ("a wrong total", put("expectedTotal", "1"), "PRICE_CHANGED"),
    ("a negative total", put("expectedTotal", "-5"), "PRICE_CHANGED"),
]


def counts(folder: Path) -> dict[str, int]:
    """Rows of every table that an order or a pledge could write to, in every subgraph."""
    found = {}
    for name in ("orders", "products", "payments", "delivery", "funding"):
        with sqlite3.connect(folder / f"{name}.sqlite") as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                if table not in ("sqlite_sequence", "alembic_version"):
                    found[f"{name}.{table}"] = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    return found


async def when_quiet(folder: Path) -> dict[str, int]:
    """The counts, once every event has arrived everywhere."""

    def pending() -> int:
        found = 0
        for name in ("users", "orders", "products", "payments", "delivery", "funding"):
            with sqlite3.connect(folder / f"{name}.sqlite") as connection:
                query = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
                found += connection.execute(query).fetchone()[0]
        return found

    await eventually(lambda: pending() == 0)
    return counts(folder)


async def code_of(shop: Shop, operation: str, **variables: Any) -> set[str]:
    """The userErrors codes that the operation is refused with."""
    answer = await shop.raw(operation, **variables)
    (payload,) = answer["data"].values()
    return {error["code"] for error in payload["userErrors"]}


async def test_an_order_that_cannot_be_is_refused_and_leaves_nothing(shop: ShopProcess) -> None:
    buyer, other = await make_buyer(shop.url), await make_buyer(shop.url)
    async with visiting(shop.url, buyer) as visitor:
        variant = await choose(visitor)
        await visitor.ask("place_order", input=wish(buyer, variant), key="first")
        mine = (await visitor.ask("my_page")).data["me"]["orders"]["edges"]
        await settled(visitor, await order_id(visitor))
        before = await when_quiet(shop.folder)
        for what, change, code in ORDERS:
            order = wish(buyer, variant)
            change(order, other)
            assert await code_of(visitor, "place_order", input=order, key=new_ulid()) == {code}, what
        again = {**wish(buyer, variant), "expectedTotal": "1"}
        assert await code_of(visitor, "place_order", input=again, key="first") == {"IDEMPOTENCY_CONFLICT"}
        assert await code_of(visitor, "place_order", input=wish(buyer, variant), key="") == {"INVALID"}
        assert await when_quiet(shop.folder) == before, "nothing was written"
        assert (await visitor.ask("my_page")).data["me"]["orders"]["edges"][0]["node"]["number"] == mine[0]["node"][
            "number"
        ]


async def order_id(visitor: Shop) -> str:
    answer = await visitor.ask_text("{ me { orders(first: 1) { edges { node { id } } } } }")
    return str(answer.data["me"]["orders"]["edges"][0]["node"]["id"])


async def test_another_users_order_is_not_there(shop: ShopProcess) -> None:
    buyer, other = await make_buyer(shop.url), await make_buyer(shop.url)
    async with visiting(shop.url, buyer) as visitor:
        placed = await visitor.ask("place_order", input=wish(buyer, await choose(visitor)), key="k")
        order = placed.data["orderCreate"]["order"]["id"]
        await settled(visitor, order)
    async with visiting(shop.url, other) as stranger:
        assert (await stranger.ask("read_order", id=order)).data == {"order": None}
        cancel = 'mutation($id: ID!) { orderCancel(id: $id, reason: "x") { userErrors { code } } }'
        with pytest.raises(Unexpected, match="NOT_FOUND"):
            await stranger.ask_text(cancel, id=order)
    async with visiting(shop.url) as anonymous:
        with pytest.raises(Unexpected, match="UNAUTHENTICATED"):
            await anonymous.ask("place_order", input=wish(buyer, await choose(anonymous)), key="k")


async def test_a_pledge_that_cannot_be_is_refused_and_leaves_nothing(shop: ShopProcess) -> None:
    buyer, other = await make_buyer(shop.url), await make_buyer(shop.url)
    async with visiting(shop.url, buyer) as visitor:
        found = await visitor.ask("find_project", query="두레 공방")
        slug = found.data["projectSearch"]["edges"][0]["node"]["slug"]
        project = (await visitor.ask("project_page", slug=slug)).data["project"]
        reward = next(each for each in project["rewards"] if each["shippingRequired"])
        good = {
            "projectId": project["id"],
            "rewardId": reward["id"],
            "paymentMethodId": buyer.card_id,
            "addressId": buyer.address_id,
        }
        made = await visitor.ask("pledge", input=good, key="first")
        assert made.data["pledgeCreate"]["pledge"]["status"] == "RESERVED"
        before = await when_quiet(shop.folder)
        unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
        cases: list[tuple[dict[str, Any], str]] = [
            ({"projectId": global_id("Project", unknown)}, "NOT_FOUND"),
            ({"rewardId": global_id("Reward", unknown)}, "NOT_FOUND"),
            ({"quantity": -1}, "INVALID"),
            ({"quantity": 2_000_000_000}, "INVALID"),
            ({"additionalAmount": "-1"}, "INVALID"),
            ({"additionalAmount": "99999999999999999999"}, "INVALID"),
            ({"additionalAmount": "0.5"}, "INVALID"),
            ({"paymentMethodId": other.card_id}, "NOT_FOUND"),
            ({"paymentMethodId": None}, "REQUIRED"),
            ({"addressId": other.address_id}, "NOT_FOUND"),
            ({"addressId": None}, "REQUIRED"),
        ]
        for change, code in cases:
            assert await code_of(visitor, "pledge", input=good | change, key=new_ulid()) == {code}, change
        assert await code_of(visitor, "pledge", input=good | {"quantity": 2}, key="first") == {"IDEMPOTENCY_CONFLICT"}
        after = await when_quiet(shop.folder)
        assert {name: after[name] - count for name, count in before.items() if after[name] != count} == {}
