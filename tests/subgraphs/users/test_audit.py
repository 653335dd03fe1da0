"""Each invariant is broken on purpose, and reported; what is well is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from messaging.events.payments import PaymentAwaitingDeposit
from subgraphs.kit.ids import new_ulid
from subgraphs.users.models import (
    applications,
    deliveries,
    partner_members,
    refresh_tokens,
    user_roles,
    users,
)
from tests.subgraphs.users.conftest import World
from tests.subgraphs.users.test_partners import review, submit
from tests.subgraphs.users.test_sessions import refresh

BREAKS: Sequence[tuple[str, Any]] = [
    ("users.one_refresh_token", update(refresh_tokens).values(used_at=None)),
    ("users.channels", delete(deliveries).where(deliveries.c.channel == "EMAIL")),
    ("users.mail_delivery", update(deliveries).where(deliveries.c.mail_id.is_not(None)).values(status="SENT")),
    ("users.approved_sells", update(applications).values(partner_id=None)),
    ("users.live_application", update(applications).values(live_business_number=None)),
    ("users.members", delete(user_roles).where(user_roles.c.role == "PARTNER")),
    ("users.sellers", delete(partner_members)),
]


async def busy(world: World) -> World:
    """A little of everything has happened."""
    member, admin = await world.member(), await world.admin()
    application = (await submit(world, member))["application"]
    await review(world, admin, application["id"], "APPROVED")
    await refresh(world, member.refresh_token)
    waiting = PaymentAwaitingDeposit(
        payment_id=new_ulid(), payable_type="Order", payable_id=new_ulid(), payer_id=member.id
    )
    await world.tell(waiting)
    return world


@pytest.mark.parametrize(("invariant", "harm"), BREAKS, ids=[invariant for invariant, _ in BREAKS])
async def test_what_is_broken_is_reported(any_world: World, invariant: str, harm: Any) -> None:
    world = await busy(any_world)
    assert await world.audit() == []
    await world.run(harm)
    assert set(await world.audit()) == {invariant}


async def test_a_withdrawn_user_with_traces_is_reported(world: World) -> None:
    row = {
        "id": new_ulid(),
        "version": 2,
        "display_name": "gone",
        "name": "still here",
        "locale": "ko-KR",
        "time_zone": "Asia/Seoul",
        "created_at": world.clock(),
        "deleted_at": world.clock(),
    }
    await world.run(insert(users).values(row))
    assert await world.audit() == ["users.withdrawn_is_erased"]
    await world.run(update(users).values(name=None))
    assert await world.audit() == []
