"""The outbox of e-mails: queued in the transaction that wants them sent, sent by a worker, recorded as sent once.

SMTP cannot promise more than at-least-once: a process killed between the server's acceptance and our commit sends
again. The Message-ID is the row's id, so that a mail server can tell.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any, NamedTuple, overload

import aiosmtplib
import structlog
from sqlalchemy import Text, bindparam, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import vault
from db.bulk import among, insert_rows
from db.prepared import Prepared
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
SENDING_SECONDS = LEASE.total_seconds() - 2 * SMTP_SECONDS
"""No mail of a batch is begun later: when its lease is over another mailer has it."""

Send = Callable[[Sequence[EmailMessage]], Awaitable[list[Exception | None]]]
"""Sends each; what went wrong with each, if anything."""
_Outcomes = Sequence[tuple[AnyRow, Exception | None]]


class NotTried(Exception):
    """There was no time left for it."""


class Draft(NamedTuple):
    """An e-mail to queue. ``recipient_index``: where it is known already."""

    kind: str
    recipient: str
    letter: Letter
    recipient_index: str | None = None


async def queue(tx: AsyncConnection, drafts: Sequence[Draft], now: datetime) -> list[str]:
    """Queue e-mails in the caller's transaction; their ids. Wake the mailer after the commit."""
    if not drafts:
        return []
    rows = [
        {
            "id": new_ulid(),
            "kind": draft.kind,
            "recipient": draft.recipient,
            "recipient_index": draft.recipient_index or email_index(draft.recipient),
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


def _sealed(column: Any) -> Any:
    """The column as it is kept: it is opened for the message that needs it, by ``_opened``."""
    return type_coerce(column, Text()).label(column.name)


_DUE = Prepared(
    skip_locked(
        select(mails.c.id, mails.c.attempts, mails.c.subject, _sealed(mails.c.recipient), _sealed(mails.c.body))
        .where(mails.c.status == "QUEUED", mails.c.next_attempt_at <= bindparam("now"))
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(BATCH)
    )
)
_THESE = among(mails.c.id, "ids")
_LEASE = Prepared(
    update(mails).where(_THESE).values(next_attempt_at=bindparam("b_until"), attempts=mails.c.attempts + 1)
)
_SETTLING = update(mails).where(_THESE).values(status=bindparam("b_status"), sent_at=bindparam("b_at"))
_SETTLE = Prepared(_SETTLING)
_SETTLE_AND_ERASE = Prepared(_SETTLING.values(body=None))
_SETTLE_DELIVERIES = Prepared(
    update(deliveries)
    .where(among(deliveries.c.mail_id, "ids"))
    .values(status=bindparam("b_status"), sent_at=bindparam("b_at"))
)


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
        tried = 0
        rows = await self._database.run(self._lease)
        while rows:
            tried += len(rows)
            outcomes = list(zip(rows, await self._send(_Messages(rows, self._sender)), strict=True))
            rows = await self._database.run(partial(self._settle_and_lease, outcomes=outcomes))
        return tried

    async def _settle_and_lease(self, tx: AsyncConnection, *, outcomes: _Outcomes) -> Sequence[AnyRow]:
        await self._settle(tx, outcomes)
        return await self._lease(tx) if len(outcomes) == BATCH else ()

    async def _lease(self, tx: AsyncConnection) -> Sequence[AnyRow]:
        now = self._now()
        rows = await _DUE.rows(tx, now=now)
        if rows:
            await _LEASE.change(tx, ids=[row.id for row in rows], b_until=now + LEASE)
        return rows

    async def _settle(self, tx: AsyncConnection, outcomes: _Outcomes) -> None:
        now = self._now()
        sent = [row.id for row, error in outcomes if error is None]
        untried = [row for row, error in outcomes if isinstance(error, NotTried)]
        refused = [(row, error) for row, error in outcomes if error is not None and not isinstance(error, NotTried)]
        dead = [row.id for row, _ in refused if row.attempts + 1 >= ATTEMPTS]
        for ids, status in ((sent, "SENT"), (dead, "FAILED")):
            if ids:
                settle = _SETTLE if self._keep_bodies else _SETTLE_AND_ERASE
                for each in (settle, _SETTLE_DELIVERIES):
                    await each.change(tx, ids=ids, b_status=status, b_at=now if status == "SENT" else None)
        for row in untried:
            await tx.execute(
                update(mails).where(mails.c.id == row.id).values(next_attempt_at=now, attempts=row.attempts)
            )
        for row, error in refused:
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
                until = time.monotonic() + SENDING_SECONDS
                return [await _outcome(client, messages, index, until) for index in range(len(messages))]
        except (aiosmtplib.SMTPException, OSError) as error:
            return [error] * len(messages)

    return send


async def _outcome(
    client: aiosmtplib.SMTP, messages: Sequence[EmailMessage], index: int, until: float
) -> Exception | None:
    """Send one of the messages; what went wrong, be it that it cannot be written. The first is always tried."""
    if index and time.monotonic() > until:
        return NotTried()
    try:
        await client.send_message(messages[index])
    except Exception as error:
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
    message["To"] = _opened(mails.c.recipient, row.recipient)
    message["Subject"] = row.subject
    message["Message-ID"] = f"<{row.id}@dure>"
    message.set_content(_opened(mails.c.body, row.body) if row.body else "")
    return message


def _opened(column: Any, sealed: str) -> str:
    return vault.ring().open(sealed, column.type.place)
