"""What buyers and sellers are mailed, in Korean and in English, by the person's own locale."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import update

from messaging.events import EventData
from messaging.events.delivery import ShipmentChanged
from messaging.events.orders import OrderPlaced
from messaging.events.payments import PaymentCaptured, PaymentFailed
from subgraphs.kit.ids import new_ulid
from subgraphs.users.models import users
from tests.subgraphs.users.conftest import Member, World

ORDER, PLEDGE = new_ulid(), new_ulid()
KOREAN = re.compile("[가-힣]")
Told = Callable[[World, Member], EventData]


def paid(world: World, member: Member) -> EventData:
    return PaymentCaptured(
        payment_id=new_ulid(),
        payable_type="Order",
        payable_id=ORDER,
        payer_id=member.id,
        amount=12000,
        currency="KRW",
        approved_at=world.clock(),
    )


def failed(payable: str, id: str) -> Told:
    return lambda _, member: PaymentFailed(
        payment_id=new_ulid(), payable_type=payable, payable_id=id, payer_id=member.id, code="REJECT", message="no"
    )


def parcel(status: str, *, last: bool = False) -> Told:
    return lambda world, _: ShipmentChanged(
        shipment_id=new_ulid(),
        version=1,
        status=status,
        occurred_at=world.clock(),
        order_id=ORDER,
        order_delivered=last,
    )


LETTERS: list[tuple[Told, str, str, str]] = [
    (paid, "PAYMENT_COMPLETED", "결제가 완료되었습니다", "Payment completed"),
    (failed("Order", ORDER), "PAYMENT_FAILED", "결제에 실패했습니다", "Payment failed"),
    (failed("Pledge", PLEDGE), "PLEDGE_FAILED", "후원 결제에 실패했습니다", "Pledge payment failed"),
    (parcel("READY"), "SHIPMENT_READY", "출고 준비가 끝났습니다", "Ready to ship"),
    (parcel("DISPATCHED"), "SHIPMENT_DISPATCHED", "상품이 출발했습니다", "On its way"),
    (
        parcel("DELIVERED", last=True),
        "PURCHASE_CONFIRMATION_REQUESTED",
        "구매확정을 부탁드립니다",
        "Please confirm your purchase",
    ),
]


@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
@pytest.mark.parametrize(("told", "kind", "korean", "english"), LETTERS, ids=[each[1] for each in LETTERS])
async def test_what_happens_to_a_purchase_is_mailed_in_the_persons_language(
    world: World, told: Told, kind: str, korean: str, english: str, locale: str
) -> None:
    """One e-mail, whose text names the order, with nothing of the other language and no fact left out."""
    member = await world.member()
    await world.run(update(users).where(users.c.id == member.id).values(locale=locale))
    await world.tell(
        OrderPlaced(
            order_id=ORDER, order_number="20261121-AB", buyer_id=member.id, total=12000, currency="KRW", lines=()
        )
    )
    await world.tell(told(world, member))
    (letter,) = [each for each in await world.mails(member.email) if each["kind"] == kind]
    assert letter["subject"] == (korean if locale == "ko-KR" else english)
    assert bool(KOREAN.search(letter["body"])) == (locale == "ko-KR")
    assert kind == "PLEDGE_FAILED" or "20261121-AB" in letter["body"]
    assert "{" not in letter["body"]
