"""The outbox of text messages (SMS): queued in the transaction that wants them sent, sent at most once.

A text costs money and wakes people: one whose sending has an unknown outcome (the process died, the provider did not
answer) is not sent again but FAILED. The same news is in the inbox and the e-mail.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx2
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import insert_rows
from db.failpoints import failpoint
from db.session import Database
from db.statements import skip_locked
from subgraphs.kit.ids import new_ulid
from subgraphs.users.models import AnyRow, deliveries, text_messages
from subgraphs.users.settings import Settings

log = structlog.get_logger()

ATTEMPTS = 6
LEASE = timedelta(minutes=2)
BATCH = 20
TIMEOUT_SECONDS = 10.0
KOREA = "+82"


class NotTaken(Exception):
    """The provider has not taken the text: it may be tried again."""


class Refused(Exception):
    """The provider will never take this text."""


class Unknown(Exception):
    """Nobody knows whether the text was taken."""


class Sender(Protocol):
    async def send(self, to: str, text: str) -> None:
        """Send one text to a number in E.164. Raises NotTaken, Refused or Unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to queue."""

    recipient: str
    text: str


async def queue(tx: AsyncConnection, drafts: Sequence[Draft], now: datetime) -> list[str]:
    """Queue texts in the caller's transaction; their ids. Wake the texter after the commit."""
    rows = [
        {
            "id": new_ulid(),
            "recipient": draft.recipient,
            "body": draft.text,
            "status": "QUEUED",
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
        for draft in drafts
    ]
    await insert_rows(tx, text_messages, rows)
    return [str(row["id"]) for row in rows]


class Texter:
    """Sends what is queued. Several may work on one outbox: each text is taken by one of them."""

    def __init__(self, database: Database, sender: Sender, now: Callable[[], datetime]) -> None:
        self._database = database
        self._sender = sender
        self._now = now

    async def send_due(self) -> int:
        """Send what is due now; how many were tried."""
        await self._database.run(self._give_up_the_lost)
        tried = 0
        while (row := await self._database.run(self._take)) is not None:
            tried += 1
            error = await self._outcome(row)
            failpoint("users.text.after_send")
            await self._database.run(lambda tx, row=row, error=error: self._settle(tx, row, error))  # type: ignore[misc]
        return tried

    async def _outcome(self, row: AnyRow) -> Exception | None:
        try:
            await self._sender.send(row.recipient, row.body)
        except (NotTaken, Refused, Unknown) as error:
            log.warning("text.failed", text=row.id, attempts=row.attempts + 1, error=type(error).__name__)
            return error
        return None

    async def _take(self, tx: AsyncConnection) -> AnyRow | None:
        """Mark one as SENDING, committed before it is sent: from here on it is not taken again. One, for what is marked
        when this process dies is lost."""
        now = self._now()
        due = select(text_messages).where(text_messages.c.status == "QUEUED", text_messages.c.next_attempt_at <= now)
        oldest = due.order_by(text_messages.c.next_attempt_at, text_messages.c.id).limit(1)
        row: AnyRow | None = (await tx.execute(skip_locked(oldest))).one_or_none()
        if row is not None:
            taken = update(text_messages).where(text_messages.c.id == row.id)
            attempts = text_messages.c.attempts + 1
            await tx.execute(taken.values(status="SENDING", next_attempt_at=now + LEASE, attempts=attempts))
        return row

    async def _give_up_the_lost(self, tx: AsyncConnection) -> None:
        """Texts whose sender died: it may have sent them."""
        lost = select(text_messages.c.id).where(
            text_messages.c.status == "SENDING", text_messages.c.next_attempt_at <= self._now()
        )
        ids = list((await tx.execute(skip_locked(lost.limit(BATCH)))).scalars())
        if ids:
            log.warning("text.lost", count=len(ids))
            await self._end(tx, ids, "FAILED", None)

    async def _settle(self, tx: AsyncConnection, row: AnyRow, error: Exception | None) -> None:
        attempts, now = row.attempts + 1, self._now()
        if isinstance(error, NotTaken) and attempts < ATTEMPTS:
            again = update(text_messages).where(text_messages.c.id == row.id)
            await tx.execute(again.values(status="QUEUED", next_attempt_at=now + timedelta(seconds=15 * 2**attempts)))
            return
        await self._end(tx, [row.id], "FAILED" if error else "SENT", None if error else now)

    async def _end(self, tx: AsyncConnection, ids: Sequence[str], status: str, sent_at: datetime | None) -> None:
        values: dict[str, Any] = {"status": status, "sent_at": sent_at}
        await tx.execute(update(text_messages).where(text_messages.c.id.in_(ids)).values(**values, body=None))
        await tx.execute(update(deliveries).where(deliveries.c.text_id.in_(ids)).values(**values))


@dataclass(frozen=True, slots=True)
class Solapi:
    """SOLAPI's ``POST /messages/v4/send``, signed by HMAC-SHA256 over date and salt."""

    url: str
    key: str
    secret: str
    sender: str
    transport: httpx2.AsyncBaseTransport | None = None

    async def send(self, to: str, text: str) -> None:
        message: dict[str, str] = {"to": to, "from": self.sender, "text": text}
        if to.startswith(KOREA):
            message["to"] = "0" + to.removeprefix(KOREA)
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, transport=self.transport) as client:
                answer = await client.post(
                    f"{self.url}/messages/v4/send",
                    json={"message": message},
                    headers={"Authorization": self._authorization(datetime.now(UTC), secrets.token_hex(16))},
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise NotTaken(type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise Unknown(type(error).__name__) from error
        if answer.status_code == httpx2.codes.TOO_MANY_REQUESTS:
            raise NotTaken("too many requests")
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise Unknown(f"status {answer.status_code}")
        if not answer.is_success:
            raise Refused(f"status {answer.status_code}")

    def _authorization(self, now: datetime, salt: str) -> str:
        date = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        signature = hmac.new(self.secret.encode(), f"{date}{salt}".encode(), "sha256").hexdigest()
        return f"HMAC-SHA256 apiKey={self.key}, date={date}, salt={salt}, signature={signature}"


def solapi(settings: Settings) -> Solapi | None:
    """The provider of the settings; None when they name none: texts are not offered then."""
    if not (settings.sms_api_key and settings.sms_api_secret and settings.sms_sender):
        return None
    secret = settings.sms_api_secret.get_secret_value()
    return Solapi(settings.sms_url, settings.sms_api_key, secret, settings.sms_sender)
