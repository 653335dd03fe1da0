"""The outbox of e-mails: queued in the transaction that wants them sent, sent by a worker, recorded as sent once.

SMTP cannot promise more than at-least-once: a process killed between the server's acceptance and our commit sends
again. The Message-ID is the row's id, so that a mail server can tell.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, overload

import aiosmtplib
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import insert_rows
from db.session import Database
from db.statements import skip_locked
from subgraphs.kit.ids import new_ulid
from subgraphs.users.letters import Letter
from subgraphs.users.models import AnyRow, deliveries, email_index, mails
from subgraphs.users.settings import Settings

log = structlog.get_logger()

ATTEMPTS = 8
LEASE = timedelta(minutes=2)
BATCH = 100
SMTP_SECONDS = 20.0

Send = Callable[[Sequence[EmailMessage]], Awaitable[list[Exception | None]]]
"""Sends each; what went wrong with each, if anything."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An e-mail to queue."""

    kind: str
    recipient: str
    letter: Letter


async def queue(tx: AsyncConnection, drafts: Sequence[Draft], now: datetime) -> list[str]:
    """Queue e-mails in the caller's transaction; their ids. Wake the mailer after the commit."""
    if not drafts:
        return []
    rows = [
        {
            "id": new_ulid(),
            "kind": draft.kind,
            "recipient": draft.recipient,
            "recipient_index": email_index(draft.recipient),
            "subject": draft.letter.subject,
            "body": draft.letter.body,
            "status": "QUEUED",
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
            "sent_at": None,
        }
        for draft in drafts
    ]
    await insert_rows(tx, mails, rows)
    return [str(row["id"]) for row in rows]


class Mailer:
    """Sends what is queued. Several may work on one outbox: each mail is leased to one of them."""

    def __init__(
        self,
        database: Database,
        send: Send,
        *,
        sender: str,
        now: Callable[[], datetime],
        keep_bodies: bool = False,
    ) -> None:
        self._database = database
        self._send = send
        self._sender = sender
        self._now = now
        self._keep_bodies = keep_bodies

    async def send_due(self) -> int:
        """Send what is due now; how many were tried."""
        rows = await self._database.run(self._lease)
        if not rows:
            return 0
        outcomes = await self._send(_Messages(rows, self._sender))
        await self._database.run(lambda tx: self._settle(tx, list(zip(rows, outcomes, strict=True))))
        return len(rows) + (await self.send_due() if len(rows) == BATCH else 0)

    async def _lease(self, tx: AsyncConnection) -> Sequence[AnyRow]:
        now = self._now()
        due = select(mails).where(mails.c.status == "QUEUED", mails.c.next_attempt_at <= now)
        oldest = due.order_by(mails.c.next_attempt_at, mails.c.id).limit(BATCH)
        rows: Sequence[AnyRow] = (await tx.execute(skip_locked(oldest))).all()
        if rows:
            leased = update(mails).where(mails.c.id.in_([row.id for row in rows]))
            await tx.execute(leased.values(next_attempt_at=now + LEASE, attempts=mails.c.attempts + 1))
        return rows

    async def _settle(self, tx: AsyncConnection, outcomes: Sequence[tuple[AnyRow, Exception | None]]) -> None:
        now = self._now()
        sent = [row.id for row, error in outcomes if error is None]
        dead = [row.id for row, error in outcomes if error is not None and row.attempts + 1 >= ATTEMPTS]
        for ids, status in ((sent, "SENT"), (dead, "FAILED")):
            if ids:
                values: dict[str, Any] = {"status": status, "sent_at": now if status == "SENT" else None}
                body = {} if self._keep_bodies else {"body": None}
                await tx.execute(update(mails).where(mails.c.id.in_(ids)).values(**values, **body))
                await tx.execute(update(deliveries).where(deliveries.c.mail_id.in_(ids)).values(**values))
        for row, error in outcomes:
            if error is None:
                continue
            log.warning("mail.failed", mail=row.id, attempts=row.attempts + 1, error=type(error).__name__)
            if row.id not in dead:
                later = now + timedelta(seconds=15 * 2**row.attempts)
                await tx.execute(update(mails).where(mails.c.id == row.id).values(next_attempt_at=later))


def smtp(settings: Settings) -> Send:
    """Sending by the SMTP server of the settings, one connection a batch."""

    async def send(messages: Sequence[EmailMessage]) -> list[Exception | None]:
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            start_tls=settings.smtp_starttls,
            timeout=SMTP_SECONDS,
        )
        try:
            async with client:
                return [await _outcome(client, message) for message in messages]
        except (aiosmtplib.SMTPException, OSError) as error:
            return [error] * len(messages)

    return send


async def _outcome(client: aiosmtplib.SMTP, message: EmailMessage) -> Exception | None:
    try:
        await client.send_message(message)
    except (aiosmtplib.SMTPException, OSError) as error:
        return error
    return None


async def into_development_outbox(messages: Sequence[EmailMessage]) -> list[Exception | None]:
    """Sending without a server: the table is the outbox, ``/dev/mails`` shows it."""
    return [None] * len(messages)


async def sent_to(database: Database, recipient: str) -> list[dict[str, Any]]:
    """The development outbox: the e-mails to an address, the newest first, with the token of their link."""
    query = select(mails).where(mails.c.recipient_index == email_index(recipient)).order_by(mails.c.id.desc()).limit(50)
    async with database.read() as connection:
        rows = (await connection.execute(query)).all()
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "to": row.recipient,
            "subject": row.subject,
            "body": row.body,
            "token": _token(row.body),
            "createdAt": row.created_at.isoformat(),
        }
        for row in rows
    ]


class _Messages(Sequence[EmailMessage]):
    """The rows as messages, each made when it is asked for: a development outbox asks for none."""

    def __init__(self, rows: Sequence[AnyRow], sender: str) -> None:
        self._rows = rows
        self._sender = sender

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> EmailMessage: ...
    @overload
    def __getitem__(self, index: slice) -> list[EmailMessage]: ...
    def __getitem__(self, index: int | slice) -> EmailMessage | list[EmailMessage]:
        if isinstance(index, slice):
            return [_message(row, self._sender) for row in self._rows[index]]
        return _message(self._rows[index], self._sender)


def _token(body: str | None) -> str | None:
    found = re.search(r"[?&]token=([\w-]+)", body or "")
    return found.group(1) if found else None


def _message(row: AnyRow, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = row.recipient
    message["Subject"] = row.subject
    message["Message-ID"] = f"<{row.id}@dure>"
    message.set_content(row.body or "")
    return message
