"""What events do: one notification for each event and recipient, one delivery a channel, whatever their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from db.migrate import downgrade, upgrade
from messaging.events import EventData
from messaging.events.delivery import ShipmentChanged
from messaging.events.funding import PledgeReserved
from messaging.events.orders import OrderPlaced, ReturnChanged
from messaging.events.payments import PaymentAwaitingDeposit, PaymentCanceled, PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.users import schema as graph
from subgraphs.users.app import MIGRATIONS
from subgraphs.users.models import dead_letters, deliveries, mails, notifications, waiting_notices
from subgraphs.users.service import engagements
from tests.subgraphs.users.conftest import Member, World

INBOX = """query($first: Int, $after: String, $unread: Boolean) { me { unreadNotificationCount
  notifications(first: $first, after: $after, unreadOnly: $unread) {
    edges { node { id type title body subjectId readAt deliveries { channel status sentAt } } }
    pageInfo { hasNextPage endCursor } } } }"""
MARK = "mutation($ids: [ID!]) { notificationsMarkRead(ids: $ids) { userErrors { code } } }"
PREFER = """mutation($type: NotificationType!, $channels: [NotificationChannel!]!) {
  notificationPreferenceUpdate(type: $type, channels: $channels) {
    user { notificationPreferences { type channels } } userErrors { code field } } }"""


async def inbox(world: World, member: Member, **given: Any) -> list[dict[str, Any]]:
    answer = await world.ask(INBOX, member, **given)
    assert "errors" not in answer, answer
    return [edge["node"] for edge in answer["data"]["me"]["notifications"]["edges"]]


def placed(member: Member, order_id: str) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id, order_number="20261121-AB", buyer_id=member.id, total=12000, currency="KRW", lines=()
    )


def captured(world: World, payer: str, order_id: str) -> PaymentCaptured:
    return PaymentCaptured(
        payment_id=new_ulid(),
        payable_type="Order",
        payable_id=order_id,
        payer_id=payer,
        amount=12000,
        currency="KRW",
        approved_at=world.clock(),
    )


def shipped(world: World, order_id: str, status: str, *, last: bool = False) -> ShipmentChanged:
    return ShipmentChanged(
        shipment_id=new_ulid(),
        version=1,
        status=status,
        occurred_at=world.clock(),
        order_id=order_id,
        order_delivered=last,
    )


async def test_a_payment_is_told_once_however_often_its_event_comes(any_world: World) -> None:
    member, order_id = await any_world.member(), new_ulid()
    await any_world.tell(placed(member, order_id))
    event = captured(any_world, member.id, order_id)
    ids = await any_world.tell(event)
    await asyncio.gather(*(any_world.tell(event, ids=ids) for _ in range(3)))
    (shown,) = await inbox(any_world, member)
    assert shown["type"] == "PAYMENT_COMPLETED"
    assert shown["body"] == "주문 20261121-AB 12,000 KRW 결제가 완료되었습니다."
    assert shown["subjectId"] == global_id("Order", order_id)
    assert {each["channel"]: each["status"] for each in shown["deliveries"]} == {"IN_APP": "SENT", "EMAIL": "QUEUED"}
    assert len(await any_world.rows(deliveries)) == 1
    assert [each["kind"] for each in await any_world.mails(member.email)] == ["PAYMENT_COMPLETED", "VERIFY_EMAIL"]
    assert await any_world.rows(dead_letters) == []
    assert await any_world.audit() == []


async def test_the_unique_key_is_what_makes_it_once(world: World) -> None:
    """The inbox stops a redelivery; were it to forget, the notification's own key still does."""
    member = await world.member()
    event = captured(world, member.id, new_ulid())
    ids = await world.tell(event)
    from subgraphs.users.models import inbox as claimed

    await world.run(claimed.delete())
    await world.tell(event, ids=ids)
    assert len(await world.rows(notifications)) == 1
    assert len(await world.mails(member.email)) == 2
    await world.tell(event)  # negative control: another event is another notification
    assert len(await world.rows(notifications)) == 2


@pytest.mark.parametrize(
    ("kind", "more", "payable", "expected"),
    [
        (PaymentFailed, {"code": "REJECT", "message": "no"}, "Order", "PAYMENT_FAILED"),
        (PaymentFailed, {"code": "REJECT", "message": "no"}, "Pledge", "PLEDGE_FAILED"),
        (PaymentAwaitingDeposit, {}, "Order", "DEPOSIT_WAITING"),
    ],
)
async def test_what_is_told_of_a_payment(
    world: World, kind: type[EventData], more: dict[str, Any], payable: str, expected: str
) -> None:
    member = await world.member()
    data = kind(payment_id=new_ulid(), payable_type=payable, payable_id=new_ulid(), payer_id=member.id, **more)
    await world.tell(data)
    assert [each["type"] for each in await inbox(world, member)] == [expected]


@pytest.mark.parametrize(("refunded", "expected"), [(12000, ["REFUND_COMPLETED"]), (0, [])])
async def test_a_cancelled_payment_is_told_if_money_came_back(world: World, refunded: int, expected: list[str]) -> None:
    member = await world.member()
    canceled = PaymentCanceled(
        payable_type="Order", payable_id=new_ulid(), payer_id=member.id, refunded=refunded, currency="KRW"
    )
    nobodys = PaymentCanceled(
        payable_type="Order", payable_id=new_ulid(), payer_id=None, refunded=refunded, currency="KRW"
    )
    await world.tell(canceled, nobodys)
    assert [each["type"] for each in await inbox(world, member)] == expected


async def test_a_return_is_told_to_its_buyer(world: World) -> None:
    """The seller's word and the money, once each; a return that costs more than it gives back has no money to tell."""
    member = await world.member()

    def changed(status: str, amount: int = 17_000) -> ReturnChanged:
        return ReturnChanged(
            return_id=new_ulid(),
            version=2,
            status=status,
            order_id=new_ulid(),
            order_number="20261121-A",
            buyer_id=member.id,
            refund_amount=amount,
            currency="KRW",
            lines=(),
            note="used",
        )

    steps = [changed(each) for each in ("REQUESTED", "APPROVED", "IN_TRANSIT", "RECEIVED", "REFUNDED", "REJECTED")]
    await world.tell(*steps, changed("REFUNDED", 0))
    found = {each["type"]: each for each in await inbox(world, member)}
    assert sorted(found) == ["REFUND_COMPLETED", "RETURN_APPROVED", "RETURN_REJECTED"]
    assert "17,000 KRW" in found["REFUND_COMPLETED"]["body"]
    assert "used" in found["RETURN_REJECTED"]["body"]


async def test_a_parcel_is_followed_to_the_request_to_confirm(world: World) -> None:
    member, order_id = await world.member(), new_ulid()
    await world.tell(placed(member, order_id))
    for status in ("REQUESTED", "READY", "DISPATCHED", "IN_TRANSIT"):
        await world.tell(shipped(world, order_id, status))
    await world.tell(shipped(world, order_id, "DELIVERED", last=True))
    told = [each["type"] for each in await inbox(world, member)]
    assert sorted(told) == [
        "DELIVERED",
        "PURCHASE_CONFIRMATION_REQUESTED",
        "SHIPMENT_DISPATCHED",
        "SHIPMENT_READY",
    ]


async def test_news_of_an_order_that_is_not_known_yet_waits_for_it(any_world: World) -> None:
    member, order_id = await any_world.member(), new_ulid()
    await any_world.tell(shipped(any_world, order_id, "READY"), shipped(any_world, new_ulid(), "READY"))
    assert await inbox(any_world, member) == []
    await any_world.tell(placed(member, order_id))
    (shown,) = await inbox(any_world, member)
    assert shown["type"] == "SHIPMENT_READY"
    assert "20261121-AB" in shown["body"]
    assert len(await any_world.rows(waiting_notices)) == 1


async def test_news_that_crossed_with_its_order_is_found_by_the_sweeper(world: World) -> None:
    member, order_id = await world.member(), new_ulid()
    await world.tell(shipped(world, order_id, "DELIVERED", last=True))
    # As if both transactions had begun before either was committed.
    engagement = engagements.Engagement(order_id, "Order", member.id, "20261121-AB")
    await world.database.run(lambda tx: engagements.remember(tx, [engagement]))
    assert await inbox(world, member) == []
    await world.database.run(lambda tx: engagements.release_waiting(tx, world.deps))
    assert len(await inbox(world, member)) == 2
    assert await world.rows(waiting_notices) == []


async def test_a_backer_is_found_by_his_pledge(world: World) -> None:
    member, pledge_id = await world.member(), new_ulid()
    await world.tell(
        PledgeReserved(
            pledge_id=pledge_id, version=1, project_id=new_ulid(), backer_id=member.id, total=1, currency="KRW"
        )
    )
    change = ShipmentChanged(
        shipment_id=new_ulid(), version=1, status="DISPATCHED", occurred_at=world.clock(), pledge_id=pledge_id
    )
    await world.tell(change)
    assert [each["type"] for each in await inbox(world, member)] == ["SHIPMENT_DISPATCHED"]


async def test_a_recipient_that_does_not_exist_holds_nothing_up(world: World) -> None:
    member = await world.member()
    await world.tell(captured(world, new_ulid(), new_ulid()), captured(world, member.id, new_ulid()))
    assert len(await inbox(world, member)) == 1
    assert await world.rows(dead_letters) == []


async def test_channels_are_chosen_by_type(world: World) -> None:
    member = await world.member()
    answer = await world.ask(PREFER, member, type="PAYMENT_COMPLETED", channels=["EMAIL", "EMAIL"])
    chosen = answer["data"]["notificationPreferenceUpdate"]["user"]["notificationPreferences"]
    assert {each["type"]: each["channels"] for each in chosen}["PAYMENT_COMPLETED"] == ["EMAIL"]
    assert {each["type"]: each["channels"] for each in chosen}["DELIVERED"] == ["IN_APP", "EMAIL"]
    await world.tell(captured(world, member.id, new_ulid()))
    assert await inbox(world, member) == []
    await world.ask(PREFER, member, type="PAYMENT_COMPLETED", channels=["IN_APP"])
    await world.tell(captured(world, member.id, new_ulid()))
    (shown,) = await inbox(world, member)
    assert {each["channel"]: each["status"] for each in shown["deliveries"]} == {
        "IN_APP": "SENT",
        "EMAIL": "SUPPRESSED",
    }
    refused = await world.ask(PREFER, member, type="DELIVERED", channels=["SMS"])
    assert refused["data"]["notificationPreferenceUpdate"]["userErrors"] == [{"code": "INVALID", "field": ["channels"]}]
    assert await world.audit() == []


async def test_an_unconfirmed_address_gets_no_mail(world: World) -> None:
    member = await world.member(verified=False)
    await world.tell(captured(world, member.id, new_ulid()))
    (shown,) = await inbox(world, member)
    assert {each["channel"]: each["status"] for each in shown["deliveries"]}["EMAIL"] == "SUPPRESSED"
    assert [each.kind for each in await world.rows(mails)] == ["VERIFY_EMAIL"]


async def test_the_inbox_is_paged_counted_and_read(world: World) -> None:
    member, other = await world.member(), await world.member("other@example.com")
    for _ in range(3):
        await world.tell(captured(world, member.id, new_ulid()))
    await world.tell(captured(world, other.id, new_ulid()))
    page = (await world.ask(INBOX, member, first=2))["data"]["me"]
    assert page["unreadNotificationCount"] == 3
    shown = [edge["node"]["id"] for edge in page["notifications"]["edges"]]
    rest = await inbox(world, member, after=page["notifications"]["pageInfo"]["endCursor"])
    assert len(shown) == 2
    assert len(rest) == 1

    await world.ask(MARK, member, ids=shown[:1])
    assert len(await inbox(world, member, unread=True)) == 2
    (others,) = await inbox(world, other)
    for ids in ([others["id"]], [shown[1], global_id("Notification", new_ulid())], ["x"]):
        refused = await world.ask(MARK, member, ids=ids)
        assert refused["data"]["notificationsMarkRead"]["userErrors"] == [{"code": "NOT_FOUND"}]
    assert len(await inbox(world, member, unread=True)) == 2
    await world.ask(MARK, member)
    assert await inbox(world, member, unread=True) == []
    assert len(await inbox(world, other, unread=True)) == 1


async def listening(stream: AsyncIterator[dict[str, Any]], world: World, topic: str) -> asyncio.Task[dict[str, Any]]:
    """The next answer of a subscription, once it listens."""
    task = asyncio.ensure_future(anext(stream))
    deadline = asyncio.get_running_loop().time() + 5
    while topic not in world.changes.board.topics:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0)
    return task


async def test_a_notification_is_received_live_and_the_stream_ends_with_the_session(world: World) -> None:
    member = await world.member()
    query = "subscription { notificationReceived { type title } }"
    stream = aiter(world.subgraph.endpoint.subscribe(query, None, None, world.headers(member)))
    task = await listening(stream, world, f"notifications:{member.id}")
    await world.tell(captured(world, member.id, new_ulid()))
    async with asyncio.timeout(5):
        answer = await task
    assert answer["data"]["notificationReceived"]["type"] == "PAYMENT_COMPLETED"
    ending = asyncio.ensure_future(anext(stream))
    await world.ask("mutation { sessionsRevokeAll { userErrors { code } } }", member)
    async with asyncio.timeout(5):
        with pytest.raises(StopAsyncIteration):
            await ending
    assert not world.changes.board.topics


async def test_a_long_stream_reads_what_is_new_and_not_all_since_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told once, and the stream of a day costs at its end what it cost at its beginning."""
    member, read = await world.member(), list[int]()
    newer = graph._newer

    async def counted(*given: Any) -> Any:
        rows = await newer(*given)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(graph, "_newer", counted)
    query = "subscription { notificationReceived { id } }"
    stream = aiter(world.subgraph.endpoint.subscribe(query, None, None, world.headers(member)))
    task, told = await listening(stream, world, f"notifications:{member.id}"), set()
    for _ in range(4):
        world.clock.pass_(minutes=5)
        await world.tell(captured(world, member.id, new_ulid()))
        async with asyncio.timeout(5):
            told.add((await task)["data"]["notificationReceived"]["id"])
        task = asyncio.ensure_future(anext(stream))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (len(told), max(read)) == (4, 2), "the last one and the new one"


async def test_nobody_listens_without_being_logged_in(world: World) -> None:
    query = "subscription { notificationReceived { type } }"
    answers = [each async for each in world.subgraph.endpoint.subscribe(query, None, None, world.headers())]
    assert answers[0]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_notifications_of_a_message_are_written_together(world: World) -> None:
    member = await world.member()
    before = world.clock()
    await world.tell(*(captured(world, member.id, new_ulid()) for _ in range(20)))
    ids = await world.column(select(notifications.c.id).where(notifications.c.created_at >= before - timedelta(1)))
    assert len(ids) == 20


async def test_inboxes_stay_as_they_are_over_an_upgrade_and_back(any_world: World, database_url: str) -> None:
    member = await any_world.member()
    await any_world.ask(PREFER, member, type="PAYMENT_FAILED", channels=["EMAIL"])
    await any_world.tell(captured(any_world, member.id, new_ulid()))
    order = {"payable_type": "Order", "payable_id": new_ulid(), "payer_id": member.id}
    await any_world.tell(PaymentFailed(payment_id=new_ulid(), code="REFUSED", message="", **order))
    before = await inbox(any_world, member)
    await downgrade(database_url, MIGRATIONS, "0005")
    old = {(row.status, row.sent_at is None) for row in await any_world.rows(deliveries) if row.channel == "IN_APP"}
    assert old == {("SENT", False), ("SUPPRESSED", True)}
    await upgrade(database_url, MIGRATIONS)
    assert {row.channel for row in await any_world.rows(deliveries)} == {"EMAIL"}
    assert await inbox(any_world, member) == before
