"""Goods that came back: stock again once, if they can be sold."""

from __future__ import annotations

import asyncio

from messaging.events.orders import ReturnChanged, ReturnedLine
from subgraphs.kit.ids import global_id, new_ulid
from tests.subgraphs.products.conftest import World, order_of
from tests.subgraphs.products.flash.test_claims import open_sale
from tests.subgraphs.products.test_buyers import LEDGER


def received(units: dict[str, int], *, restock: bool = True, status: str = "RECEIVED", id: str = "") -> ReturnChanged:
    return ReturnChanged(
        return_id=id or new_ulid(),
        version=3,
        status=status,
        order_id=new_ulid(),
        order_number="D-1",
        buyer_id=new_ulid(),
        refund_amount=1,
        currency="KRW",
        lines=tuple(
            ReturnedLine(order_line_id=new_ulid(), variant_id=variant, quantity=count, restock=restock)
            for variant, count in units.items()
        ),
    )


async def test_returned_units_are_for_sale_again_once(world: World) -> None:
    """Twice in a message, again in another, and at the same moment: the ledger has them once."""
    one, other = (await world.publish("Vitamin C", "C-1", "C-2", units=3)).ulids
    event = received({one: 2, other: 1})
    await asyncio.gather(*(world.tell(event, event) for _ in range(3)))
    assert (await world.level(one), await world.level(other)) == ((5, 0, 0), (4, 0, 0))
    assert await world.violations() == []


async def test_what_cannot_be_sold_or_has_not_arrived_is_no_stock(world: World) -> None:
    """Damaged goods, announced ones, refunded ones (they were received before), and variants unknown here."""
    (variant,) = (await world.publish("Vitamin C", "C-1", units=3)).ulids
    await world.tell(
        received({variant: 1}, restock=False),
        *[received({variant: 1}, status=each) for each in ("REQUESTED", "APPROVED", "REFUNDED", "CANCELED")],
        received({new_ulid(): 1, variant: 0}),
    )
    assert await world.level(variant) == (3, 0, 0)
    assert await world.violations() == []


async def test_the_ledger_names_what_moved_units_by_its_type(world: World) -> None:
    """A return, a sale's item, a claim and an order each by an id that can be asked for."""
    sale = await open_sale(world, 2)
    buyer, ticket = await sale.buyer()
    claim = await sale.claim(buyer, ticket)
    order = order_of(**{sale.variant: 1})
    await world.tell(order)
    back = received({sale.variant: 1})
    await world.tell(back)
    page = await world.data(LEDGER, world.seller, id=global_id("ProductVariant", sale.variant), n=10)
    causes = [edge["node"]["causeId"] for edge in page["stockMovements"]["edges"]]
    item = global_id("FlashSaleItem", sale.item)
    assert causes == [
        global_id("Return", back.return_id),
        global_id("Order", order.order_id),
        global_id("StockClaim", claim),
        item,
        item,
        None,
    ]
