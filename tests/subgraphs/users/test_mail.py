"""The outbox of e-mails: sent once, tried again, given up with a trace, shown in development only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtplib import SMTPException
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy import select, text

from messaging.events.payments import PaymentCaptured
from messaging.memory import MemoryBroker
from subgraphs.kit.ids import new_ulid
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.subgraph import Runtime
from subgraphs.users import app, mail
from subgraphs.users.letters import Letter
from subgraphs.users.models import deliveries, mails
from subgraphs.users.settings import Settings
from tests.subgraphs.users.conftest import SECRET, World


class Server:
    """A mail server that refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.sent: list[EmailMessage] = []

    async def __call__(self, messages: Sequence[EmailMessage]) -> list[Exception | None]:
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            return [SMTPException("busy")] * len(messages)
        self.sent += messages
        return [None] * len(messages)


def mailer(world: World, server: Server) -> mail.Mailer:
    return mail.Mailer(world.database, server, sender="dure <no-reply@dure.example>", now=world.clock)


async def paid(world: World) -> None:
    member = await world.member()
    captured = PaymentCaptured(
        payment_id=new_ulid(),
        payable_type="Order",
        payable_id=new_ulid(),
        payer_id=member.id,
        amount=1,
        currency="KRW",
        approved_at=world.clock(),
    )
    await world.tell(captured)


async def test_a_mail_is_sent_once_and_its_secrets_erased(any_world: World) -> None:
    await any_world.register("buyer@example.com")
    server = Server()
    await asyncio.gather(*(mailer(any_world, server).send_due() for _ in range(3)))
    (message,) = server.sent
    assert message["To"] == "buyer@example.com"
    assert message["Subject"] == "이메일 주소를 확인해 주세요"
    assert "token=" in message.get_content()
    (row,) = await any_world.rows(mails)
    assert (row.status, row.body, row.sent_at is not None) == ("SENT", None, True)
    assert await mailer(any_world, server).send_due() == 0


async def test_more_than_a_batch_is_sent_at_once_and_each_settled(world: World) -> None:
    many, server = mail.BATCH + 1, Server(refusals=1)
    drafts = [mail.Draft("RECOVER_ID", f"{number}@example.com", Letter("Hello", "x")) for number in range(many)]
    await world.database.run(lambda tx: mail.queue(tx, drafts, world.clock()))
    assert await mailer(world, server).send_due() == many
    assert [message["To"] for message in server.sent] == [f"{mail.BATCH}@example.com"], "the first batch was refused"
    world.clock.pass_(seconds=16)
    assert await mailer(world, server).send_due() == mail.BATCH
    assert {row.status for row in await world.rows(mails)} == {"SENT"}
    assert len({message["To"] for message in server.sent}) == many == len(server.sent)


async def test_a_refused_mail_is_tried_again_later_and_later(world: World) -> None:
    await world.register("buyer@example.com")
    server = Server(refusals=2)
    post = mailer(world, server)
    for pause in (15, 30):
        assert await post.send_due() == 1
        assert await post.send_due() == 0
        world.clock.pass_(seconds=pause)
    assert await post.send_due() == 1
    assert len(server.sent) == 1


async def test_a_mail_that_cannot_be_sent_is_given_up_and_its_delivery_says_so(world: World) -> None:
    await paid(world)
    post = mailer(world, Server(refusals=100))
    for _ in range(mail.ATTEMPTS):
        await post.send_due()
        world.clock.pass_(hours=2)
    assert {row.status for row in await world.rows(mails)} == {"FAILED"}
    assert {row.status for row in await world.rows(deliveries) if row.channel == "EMAIL"} == {"FAILED"}
    assert await post.send_due() == 0
    assert await world.audit() == []


async def test_a_sent_mail_settles_its_delivery(world: World) -> None:
    await paid(world)
    await mailer(world, Server()).send_due()
    (delivery,) = [row for row in await world.rows(deliveries) if row.channel == "EMAIL"]
    assert (delivery.status, delivery.sent_at) == ("SENT", world.clock())
    assert await world.audit() == []


async def test_a_mailer_that_dies_loses_no_mail(world: World) -> None:
    await world.register("buyer@example.com")

    async def dies(_messages: Sequence[EmailMessage]) -> list[Exception | None]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await mail.Mailer(world.database, dies, sender="x@example.com", now=world.clock).send_due()
    server = Server()
    assert await mailer(world, server).send_due() == 0, "leased to the one that died"
    world.clock.pass_(minutes=3)
    assert await mailer(world, server).send_due() == 1
    assert len(server.sent) == 1


@asynccontextmanager
async def smtp_server() -> AsyncIterator[tuple[mail.Send, list[bytes]]]:
    """Sending to a server, and what it has received."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go\r\n")
                received.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 ok\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                await writer.drain()
                break
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield mail.smtp(Settings(smtp_host="127.0.0.1", smtp_port=port)), received


async def queue(world: World, *recipients: str) -> None:
    drafts = [mail.Draft("RECOVER_ID", each, Letter("Hello", "x")) for each in recipients]
    await world.database.run(lambda tx: mail.queue(tx, drafts, world.clock()))


async def test_mails_speak_to_a_real_smtp_server(world: World) -> None:
    await world.register("buyer@example.com")
    async with smtp_server() as (send, received):
        assert await mail.Mailer(world.database, send, sender="a@example.com", now=world.clock).send_due() == 1
    (message,) = received
    assert b"To: buyer@example.com" in message
    (row,) = await world.rows(mails)
    assert row.status == "SENT"


async def test_what_a_slow_server_leaves_no_time_for_is_sent_next_and_by_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail is sent within its lease only: after it another mailer has it."""
    await queue(world, "a@example.com", "b@example.com")
    async with smtp_server() as (send, received):
        post = mail.Mailer(world.database, send, sender="a@example.com", now=world.clock)
        monkeypatch.setattr(mail, "SENDING_SECONDS", -1.0)
        for sent in (1, 2):
            await post.send_due()
            assert len(received) == sent
    assert [(row.status, row.attempts) for row in await world.rows(mails)] == [("SENT", 1)] * 2


async def test_a_mail_that_cannot_be_written_holds_up_no_other(world: World) -> None:
    await queue(world, "a@example.com", "b@example.com")
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE mail SET body = 'nonsense' WHERE id = (SELECT min(id) FROM mail)"))
    async with smtp_server() as (send, received):
        await mail.Mailer(world.database, send, sender="a@example.com", now=world.clock).send_due()
    assert len(received) == 1
    async with world.database.read() as connection:
        rows = (await connection.execute(select(mails.c.status, mails.c.attempts).order_by(mails.c.id))).all()
    assert [tuple(row) for row in rows] == [("QUEUED", 1), ("SENT", 1)]


async def test_without_the_server_a_mail_waits(world: World) -> None:
    await world.register("buyer@example.com")
    send = mail.smtp(Settings(smtp_host="127.0.0.1", smtp_port=1))
    await mail.Mailer(world.database, send, sender="a@example.com", now=world.clock).send_due()
    (row,) = await world.rows(mails)
    assert (row.status, row.attempts) == ("QUEUED", 1)


def built(world: World, *, dev: bool, **settings: Any) -> Any:
    common = CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"), dev=dev)
    runtime = Runtime(common, world.database, MemoryBroker(), world.changes, world.clock)
    return app.build(runtime, Settings(argon2_memory_kib=64, argon2_passes=1, **settings))


@pytest.mark.parametrize(("dev", "status"), [(True, 200), (False, 404)])
async def test_the_development_outbox_is_for_development(world: World, dev: bool, status: int) -> None:
    await world.register("buyer@example.com")
    client = AsyncClient(transport=ASGITransport(built(world, dev=dev).app), base_url="http://users")
    answer = await client.get("/dev/mails", params={"to": "Buyer@example.com"})
    assert answer.status_code == status
    if dev:
        (shown,) = answer.json()
        assert shown["kind"] == "VERIFY_EMAIL"
        assert shown["token"] in shown["body"]


def test_mails_wait_where_nothing_can_send_them(world: World) -> None:
    def sends(**how: Any) -> bool:
        return "users.mail" in {worker.name for worker in built(world, **how).workers}

    assert sends(dev=True)
    assert sends(dev=False, smtp_host="mail.example.com")
    assert not sends(dev=False)
