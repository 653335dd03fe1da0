"""Negative controls: with a guard switched off, the harm that it prevents is done and seen."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from messaging.events.payments import PaymentCaptured
from subgraphs.payments import charging, refunding
from subgraphs.payments.charging import Charger
from subgraphs.payments.domain import Absent
from subgraphs.payments.refunding import Refunder
from subgraphs.payments.service import Service
from tests.subgraphs.payments.conftest import World, request
from tests.subgraphs.payments.test_buyer_pays import issue, webhook
from tests.subgraphs.payments.test_refunds import paid, refund


async def test_without_asking_first_and_without_its_key_a_refund_is_made_twice(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: Any) -> None:
        return None

    monkeypatch.setattr(Refunder, "_look", blind)
    monkeypatch.setattr(refunding, "_OPEN", ())
    payment = await paid(world, buyer)
    await world.fault("timeout_after", "/cancel")
    await refund(world, payment, amount="5000")
    await world.work(later=2)
    assert "payments.equal_to_provider" in {each.invariant for each in await world.audit()}


async def test_without_asking_first_a_charge_is_never_found(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blind(*_: Any) -> Absent:
        return Absent()

    monkeypatch.setattr(Charger, "_look", blind)
    monkeypatch.setattr(charging, "_OPEN", ())
    wanted = request(buyer, await world.card(buyer))
    await world.fault("timeout_after", "/v1/billing/")
    await world.tell(wanted)
    await world.work()
    await world.work(later=2)
    assert len(world.charges_at_provider()) == 1
    assert await world.told(PaymentCaptured) == []


async def test_without_the_secret_a_forged_webhook_is_heard(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "_is_secret", lambda *_: True)
    wanted = request(buyer, None)
    await world.tell(wanted)
    await issue(world, buyer, wanted.order_id)
    forged = orjson.dumps({"orderId": wanted.order_number, "status": "DONE", "secret": "ps_guess"})
    assert await webhook(world, forged) == 200
