"""What products does when others tell something: the stock steps of the order saga, and the copies of foreign facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import table_of
from db.bulk import among, update_rows
from db.failpoints import failpoint
from db.prepared import Prepared
from db.statements import insert_ignore, upsert
from messaging.consumer import Handler
from messaging.envelope import Event
from messaging.events import EventData
from messaging.events.delivery import ShipmentChanged, ShippingProfileChanged
from messaging.events.orders import (
    OrderConfirmed,
    OrderPaid,
    OrderPlaced,
    ReservationRequest,
    ReturnChanged,
    StockCommitRequested,
    StockReleaseRequested,
    StockReservationRequested,
)
from messaging.events.users import PartnerChanged, UserChanged
from messaging.outbox import record
from subgraphs.kit.copies import keep, newest
from subgraphs.products import models, stock
from subgraphs.products.flash import redeem
from subgraphs.products.purchasable import SOURCE, variants_changed
from subgraphs.products.restocking import restock
from subgraphs.products.search_index import index_products
from subgraphs.products.shop import MEMBER, PARTNER, Shop

PRODUCT = models.Product.__table__
VARIANT = models.ProductVariant.__table__
PURCHASE = models.Purchase.__table__
RECEIVED = models.ReceivedOrder.__table__
Hook = Callable[[], None]


def handlers(shop: Shop) -> Mapping[type[EventData], Handler]:
    """A handler for every event type that products consumes."""
    steps = StockSteps(shop)
    reserve = steps.reserve
    return {
        OrderPlaced: reserve,
        StockReservationRequested: reserve,
        StockCommitRequested: steps.commit,
        StockReleaseRequested: steps.release,
        ReturnChanged: steps.returned,
        OrderPaid: order_paid,
        OrderConfirmed: order_confirmed,
        ShipmentChanged: Shipments(shop).changed,
        UserChanged: user_changed,
        PartnerChanged: partner_changed,
        ShippingProfileChanged: shipping_profile_changed,
    }


class StockSteps:
    """The saga's requests for stock and their answers."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._telling: set[asyncio.Task[None]] = set()

    async def reserve(self, tx: AsyncConnection, events: Sequence[Event[ReservationRequest]]) -> Hook:
        ttl, now = timedelta(seconds=self._shop.settings.reservation_ttl_seconds), self._shop.now()
        on_claims = [event for event in events if event.data.claim_id is not None]
        others = [event.data for event in events if event.data.claim_id is None]
        taken_over = await redeem.reserve(tx, on_claims, now, ttl) if on_claims else stock.Outcome()
        outcome = await stock.reserve(tx, others, now, ttl) if others else stock.Outcome()
        return await self._answer(tx, outcome, "reserve", more=taken_over.answers)

    async def commit(self, tx: AsyncConnection, events: Sequence[Event[StockCommitRequested]]) -> Hook:
        outcome = await redeem.commit(tx, [event.data.order_id for event in events], self._shop.now())
        return await self._answer(tx, outcome, "commit")

    async def release(self, tx: AsyncConnection, events: Sequence[Event[StockReleaseRequested]]) -> Hook:
        outcome, back = await redeem.release(tx, [event.data.order_id for event in events], self._shop.now())
        return await self._answer(tx, outcome, "release", back=back)

    async def _answer(
        self,
        tx: AsyncConnection,
        outcome: stock.Outcome,
        step: str,
        *,
        more: Sequence[EventData] = (),
        back: Mapping[str, str] | None = None,
    ) -> Hook:
        await record(tx, models.outbox, SOURCE, [*outcome.answers, *more])
        failpoint(f"products.{step}.before_commit")

        def committed() -> None:
            failpoint(f"products.{step}.after_commit")
            if outcome.touched:
                self._later(self._shop.tell_stock(sorted(outcome.touched)))
            if back:
                self._later(self._shop.tell_items(back))

        return committed

    async def returned(self, tx: AsyncConnection, events: Sequence[Event[ReturnChanged]]) -> Hook | None:
        """What came back and can be sold again is stock again."""
        touched = sorted(await restock(tx, [event.data for event in events], self._shop.now()))
        return (lambda: self._later(self._shop.tell_stock(touched))) if touched else None

    def _later(self, telling: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)  # or the task may be collected before it has run
        task.add_done_callback(self._telling.discard)


class Shipments:
    """What leaves the warehouse, and what has arrived and may be reviewed."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def changed(self, tx: AsyncConnection, events: Sequence[Event[ShipmentChanged]]) -> None:
        gone = {
            event.data.order_id
            for event in events
            if event.data.order_id and (event.data.order_fulfillment == "FULFILLED" or event.data.order_delivered)
        }
        if gone:
            await stock.ship(tx, gone, self._shop.now())
        await _received(tx, [each.data.order_id for each in events if each.data.order_id and each.data.order_delivered])


async def order_paid(tx: AsyncConnection, events: Sequence[Event[OrderPaid]]) -> None:
    """Remember who bought what, and count what sells."""
    await redeem.paid(tx, events)
    units: dict[str, int] = {}
    for event in events:
        for line in event.data.lines:
            units[line.variant_id] = units.get(line.variant_id, 0) + line.quantity
    products = await _products_of(tx, units)
    await _remember_purchases(tx, [event.data for event in events], products)
    sold: dict[str, int] = {}
    for variant_id, product_id in products.items():
        sold[product_id] = sold.get(product_id, 0) + units[variant_id]
    if sold:
        rows = [{"id": product_id, "sold_count": count} for product_id, count in sorted(sold.items())]
        await update_rows(tx, PRODUCT, rows, where=["id"], add="sold_count")


async def order_confirmed(tx: AsyncConnection, events: Sequence[Event[OrderConfirmed]]) -> None:
    """The buyer has his goods: he may review them, whether or not OrderPaid has come by."""
    products = await _products_of(tx, {line.variant_id for event in events for line in event.data.lines})
    await _remember_purchases(tx, [event.data for event in events], products)
    await _received(tx, [event.data.order_id for event in events])


async def user_changed(tx: AsyncConnection, events: Sequence[Event[UserChanged]]) -> None:
    """Keep the names that reviews show; of a withdrawn user nothing but that he is."""
    await keep(
        tx,
        table_of(models.UserCopy),
        [event.data for event in events],
        lambda fact: {
            "user_id": fact.user_id,
            "version": fact.version,
            "display_name": "" if fact.deleted else fact.display_name[:200],
            "avatar_url": None if fact.deleted else fact.avatar_url,
            "deleted": fact.deleted,
        },
    )


async def partner_changed(tx: AsyncConnection, events: Sequence[Event[PartnerChanged]]) -> None:
    """Keep sellers and their members. Whether a seller is active decides what can be bought of him."""
    latest = newest(event.data for event in events)
    ids = sorted(partner.partner_id for partner in latest)
    query = select(PARTNER).where(PARTNER.c.partner_id.in_(ids)).order_by(PARTNER.c.partner_id).with_for_update()
    known = {row.partner_id: row for row in await tx.execute(query)}
    news = [each for each in latest if each.partner_id not in known or each.version > known[each.partner_id].version]
    rows = [
        {"partner_id": each.partner_id, "version": each.version, "name": each.name[:200], "status": each.status}
        for each in news
    ]
    await upsert(tx, PARTNER, rows, newer_by="version")
    members = [
        {"partner_id": each.partner_id, "user_id": user_id, "version": each.version}
        for each in news
        for user_id in sorted(set(each.member_ids))
    ]
    await upsert(tx, MEMBER, members, newer_by="version")
    for each in news:
        await tx.execute(delete(MEMBER).where(MEMBER.c.partner_id == each.partner_id, MEMBER.c.version < each.version))
    was = {key: (row.status, row.name) for key, row in known.items()}
    status = [each.partner_id for each in news if was.get(each.partner_id, ("", ""))[0] != each.status]
    if status:
        await variants_changed(tx, PRODUCT.c.partner_id.in_(status))
    names = [each.partner_id for each in news if was.get(each.partner_id, ("", ""))[1] != each.name]
    if names:
        await index_products(
            tx, list((await tx.execute(select(PRODUCT.c.id).where(PRODUCT.c.partner_id.in_(names)))).scalars())
        )


async def shipping_profile_changed(tx: AsyncConnection, events: Sequence[Event[ShippingProfileChanged]]) -> None:
    """Know which shipping profiles a variant can have."""
    await keep(
        tx,
        table_of(models.ShippingProfileCopy),
        [event.data for event in events],
        lambda fact: {
            "shipping_profile_id": fact.shipping_profile_id,
            "version": fact.version,
            "name": fact.name[:200],
        },
    )


_PRODUCTS_OF = Prepared(select(VARIANT.c.id, VARIANT.c.product_id).where(among(VARIANT.c.id, "variants")))


async def _products_of(tx: AsyncConnection, variant_ids: Iterable[str]) -> dict[str, str]:
    return {row.id: row.product_id for row in await _PRODUCTS_OF.rows(tx, variants=sorted(set(variant_ids)))}


async def _remember_purchases(
    tx: AsyncConnection, orders: Sequence[OrderPaid | OrderConfirmed], products: Mapping[str, str]
) -> None:
    bought = {
        (order.order_id, products[line.variant_id]): order.buyer_id
        for order in orders
        for line in order.lines
        if line.variant_id in products
    }
    rows = [{"order_id": order, "product_id": product, "user_id": user} for (order, product), user in bought.items()]
    await insert_ignore(tx, PURCHASE, sorted(rows, key=lambda row: (row["order_id"], row["product_id"])))


async def _received(tx: AsyncConnection, order_ids: Iterable[str | None]) -> None:
    await insert_ignore(
        tx, RECEIVED, [{"order_id": order_id} for order_id in sorted({each for each in order_ids if each})]
    )
