"""Text messages: to whom they go, at most once each, and what happens when their provider is in trouble."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from dure.settings import ROOT
from messaging.events.delivery import ShipmentChanged
from messaging.events.orders import OrderPlaced
from subgraphs.kit.ids import new_ulid
from subgraphs.users import texts
from subgraphs.users.models import deliveries, text_messages
from subgraphs.users.settings import Settings
from subgraphs.users.texts import NotTaken, Refused, Solapi, Texter, Unknown
from tests.subgraphs.users.conftest import Member, World, open_world
from tests.subgraphs.users.test_notifications import PREFER
from tests.support.raw import dump

PHONE = "010-1234-5678"
NUMBER = "mutation($n: String!) { accountUpdate(phone: $n) { userErrors { code } } }"


@dataclass
class Fake:
    """A provider that takes texts, or fails as it is told."""

    taken: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[BaseException] = field(default_factory=list)

    async def send(self, to: str, text: str) -> None:
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble.pop(0)
        self.taken.append((to, text))


@dataclass
class Phones:
    """Users with a provider of text messages."""

    world: World
    fake: Fake

    async def member(self, phone: str = PHONE) -> Member:
        member = await self.world.member()
        if phone:
            await self.world.ask(NUMBER, member, n=phone)
        return member

    async def dispatched(self, member: Member, *, times: int = 1) -> None:
        """A parcel of theirs leaves, and its event is delivered so often."""
        order = new_ulid()
        await self.world.tell(
            OrderPlaced(order_id=order, order_number="N-1", buyer_id=member.id, total=1, currency="KRW", lines=())
        )
        left = ShipmentChanged(
            shipment_id=new_ulid(), version=1, status="DISPATCHED", occurred_at=self.world.clock(), order_id=order
        )
        ids = await self.world.tell(left)
        await asyncio.gather(*(self.world.tell(left, ids=ids) for _ in range(times - 1)))

    async def send(self, together: int = 1) -> None:
        texters = [Texter(self.world.database, self.fake, self.world.clock) for _ in range(together)]
        await asyncio.gather(*(each.send_due() for each in texters))

    async def statuses(self) -> list[tuple[str, str]]:
        """Of the delivery by text, and of the text."""
        by_text = {row.id: row.status for row in await self.world.rows(text_messages)}
        rows = [row for row in await self.world.rows(deliveries) if row.channel == "SMS"]
        return [(row.status, by_text.get(row.text_id, "")) for row in rows]


async def with_phones(url: str) -> AsyncIterator[Phones]:
    fake = Fake()
    async for world in open_world(url, sms=fake):
        yield Phones(world, fake)


@pytest.fixture
async def shop(sqlite_database_url: str) -> AsyncIterator[Phones]:
    async for each in with_phones(sqlite_database_url):
        yield each


@pytest.fixture
async def any_shop(database_url: str) -> AsyncIterator[Phones]:
    async for each in with_phones(database_url):
        yield each


async def test_a_dispatched_parcel_is_told_by_one_text(any_shop: Phones) -> None:
    await any_shop.dispatched(await any_shop.member(), times=4)
    assert await any_shop.statuses() == [("QUEUED", "QUEUED")]
    assert "1012345678" not in await dump(any_shop.world.database)
    await any_shop.send(together=3)
    assert any_shop.fake.taken == [("+821012345678", "[dure] 상품이 출발했습니다\n주문 N-1 상품이 배송 중입니다.")]
    await any_shop.send()
    assert len(any_shop.fake.taken) == 1
    assert await any_shop.statuses() == [("SENT", "SENT")]
    (row,) = await any_shop.world.rows(text_messages)
    assert (row.body, row.sent_at) == (None, any_shop.world.clock())
    assert await any_shop.world.audit() == []


async def test_whose_number_is_not_known_gets_none(shop: Phones) -> None:
    await shop.dispatched(await shop.member(phone=""))
    assert await shop.statuses() == [("SUPPRESSED", "")]
    assert await shop.world.audit() == []


async def test_texts_are_chosen_by_type(shop: Phones) -> None:
    member = await shop.member()
    answer = await shop.world.ask(PREFER, member, type="SHIPMENT_DISPATCHED", channels=["IN_APP"])
    chosen = answer["data"]["notificationPreferenceUpdate"]["user"]["notificationPreferences"]
    assert {"type": "SHIPMENT_DISPATCHED", "channels": ["IN_APP"]} in chosen
    await shop.dispatched(member)
    assert await shop.statuses() == []
    answer = await shop.world.ask(PREFER, member, type="DELIVERED", channels=["SMS"])
    assert answer["data"]["notificationPreferenceUpdate"]["userErrors"] == []


async def test_where_nobody_sends_texts_they_are_not_offered(world: World) -> None:
    phones = Phones(world, Fake())
    member = await phones.member()
    await phones.dispatched(member)
    assert await phones.statuses() == []
    answer = await world.ask(PREFER, member, type="DELIVERED", channels=["SMS"])
    assert [e["code"] for e in answer["data"]["notificationPreferenceUpdate"]["userErrors"]] == ["INVALID"]


async def test_a_text_that_was_not_taken_is_tried_again_and_given_up(shop: Phones) -> None:
    await shop.dispatched(await shop.member())
    shop.fake.trouble = [NotTaken("busy")]
    await shop.send()
    await shop.send()
    assert shop.fake.taken == [], "not before its time"
    shop.world.clock.pass_(minutes=1)
    await shop.send()
    assert len(shop.fake.taken) == 1
    await shop.dispatched(await shop.world.member("two@example.com"), times=1)
    member = await shop.world.member("three@example.com")
    await shop.world.ask(NUMBER, member, n=PHONE)
    await shop.dispatched(member)
    shop.fake.trouble = [NotTaken("busy")] * 20
    for _ in range(texts.ATTEMPTS + 2):
        await shop.send()
        shop.world.clock.pass_(hours=1)
    assert len(shop.fake.trouble) == 20 - texts.ATTEMPTS
    assert sorted(await shop.statuses()) == [("FAILED", "FAILED"), ("SENT", "SENT"), ("SUPPRESSED", "")]
    assert await shop.world.audit() == []


@pytest.mark.parametrize("error", [Refused("no such number"), Unknown("no answer")])
async def test_a_text_that_was_refused_or_may_have_gone_is_not_sent_again(shop: Phones, error: Exception) -> None:
    await shop.dispatched(await shop.member())
    shop.fake.trouble = [error]
    for _ in range(3):
        await shop.send()
        shop.world.clock.pass_(hours=1)
    assert shop.fake.taken == []
    assert await shop.statuses() == [("FAILED", "FAILED")]


async def test_a_text_whose_sender_died_is_not_sent_again(any_shop: Phones) -> None:
    await any_shop.dispatched(await any_shop.member())
    any_shop.fake.trouble = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await any_shop.send()
    assert await any_shop.statuses() == [("QUEUED", "SENDING")]
    assert await any_shop.world.audit() == []
    await any_shop.send()
    assert await any_shop.statuses() == [("QUEUED", "SENDING")], "it may still be at it"
    any_shop.world.clock.pass_(minutes=3)
    await any_shop.send()
    assert any_shop.fake.taken == []
    assert await any_shop.statuses() == [("FAILED", "FAILED")]
    assert await any_shop.world.audit() == []


async def test_a_withdrawn_members_texts_are_erased(shop: Phones) -> None:
    member = await shop.member()
    order = "mutation($p: String!) { accountDelete(password: $p) { userErrors { code } } }"
    await shop.dispatched(member)
    blocked = await shop.world.ask(order, member, p="correct horse battery")
    assert [e["code"] for e in blocked["data"]["accountDelete"]["userErrors"]] == ["NOT_ALLOWED"], "an order is open"
    async with shop.world.database.transaction() as tx:
        await tx.exec_driver_sql("UPDATE engagement SET closed = 1")
    done = await shop.world.ask(order, member, p="correct horse battery")
    assert done["data"]["accountDelete"]["userErrors"] == []
    assert await shop.world.rows(text_messages) == []
    await shop.send()
    assert shop.fake.taken == []


def provider(handler: Any) -> Solapi:
    made = texts.solapi(
        Settings(
            sms_api_key="key", sms_api_secret=SecretStr("hush"), sms_sender="0212345678", sms_url="https://sms.example"
        )
    )
    assert made
    return Solapi(made.url, made.key, made.secret, made.sender, httpx2.MockTransport(handler))


async def test_what_solapi_is_asked() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"statusCode": "2000"})

    await provider(answer).send("+821012345678", "안녕하세요")
    (request,) = asked
    assert (request.method, str(request.url)) == ("POST", "https://sms.example/messages/v4/send")
    assert json.loads(request.content) == {"message": {"to": "01012345678", "from": "0212345678", "text": "안녕하세요"}}
    signed = re.fullmatch(
        r"HMAC-SHA256 apiKey=key, date=(\S+Z), salt=(\w{32}), signature=(\w{64})", request.headers["authorization"]
    )
    assert signed
    assert hmac.new(b"hush", f"{signed[1]}{signed[2]}".encode(), "sha256").hexdigest() == signed[3]


@pytest.mark.parametrize(
    ("outcome", "meaning"),
    [
        (httpx2.Response(429), NotTaken),
        (httpx2.Response(400, json={"errorCode": "ValidationError"}), Refused),
        (httpx2.Response(502), Unknown),
        (httpx2.ConnectError("refused"), NotTaken),
        (httpx2.ReadTimeout("slow"), Unknown),
    ],
)
async def test_what_solapis_answers_mean(outcome: Any, meaning: type[Exception]) -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    with pytest.raises(meaning):
        await provider(answer).send("+821012345678", "x")


def test_without_a_key_there_is_no_provider() -> None:
    assert texts.solapi(Settings()) is None


async def test_a_texter_killed_after_sending_has_sent_once(
    shop: Phones, sqlite_database_url: str, tmp_path: Path
) -> None:
    await shop.dispatched(await shop.member())
    command = [sys.executable, "-m", "tests.subgraphs.users.texter", sqlite_database_url, f"{tmp_path}/paper"]
    kill = os.environ | {"DURE_FAILPOINT": "users.text.after_send"}
    died = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=kill, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "paper").read_text() == "+821012345678\n"
    shop.world.clock.pass_(minutes=3)
    await shop.send()
    assert shop.fake.taken == [], "nobody knows that it went, and so it does not go again"
    assert await shop.statuses() == [("FAILED", "FAILED")]


@pytest.mark.parametrize("end", [asyncio.CancelledError(), RuntimeError("a bug")])
async def test_a_sender_that_dies_takes_no_other_text_with_it(shop: Phones, end: BaseException) -> None:
    """What was not begun is not lost: the next sender sends it at once."""
    member = await shop.member()
    for _ in range(3):
        await shop.dispatched(member)
    shop.fake.trouble = [end]
    with pytest.raises(type(end)):
        await shop.send()
    await shop.send()
    assert len(shop.fake.taken) == 2
    shop.world.clock.pass_(minutes=3)
    await shop.send()
    assert sorted(status for status, _ in await shop.statuses()) == ["FAILED", "SENT", "SENT"]
    assert await shop.world.audit() == []
