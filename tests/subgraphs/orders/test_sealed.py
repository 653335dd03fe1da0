"""Where a buyer lives cannot be read in the tables of orders, and is shown to the buyer all the same."""

from __future__ import annotations

from subgraphs.kit.ids import global_id
from tests.subgraphs.orders.conftest import BUYER, Shop, place
from tests.subgraphs.orders.test_reading import read
from tests.support.raw import dump


async def test_no_address_can_be_read_in_the_tables(any_shop: Shop) -> None:
    order_id = await place(any_shop)
    shown = (await read(any_shop, BUYER, id=global_id("Order", order_id)))["shippingAddress"]
    assert shown["recipient"] == "김두레"
    stolen = await dump(any_shop.runtime.database)
    assert order_id in stolen
    secrets = [text for name, text in shown.items() if text and name != "__typename"]
    assert len(secrets) >= 4
    assert [secret for secret in secrets if f"'{secret}'" in stolen or f'"{secret}"' in stolen] == []
