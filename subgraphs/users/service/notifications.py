"""The inbox of notifications, and who wants what on which channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.statements import insert_ignore, upsert
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.users import letters, mail, texts
from subgraphs.users.domain import default_channels
from subgraphs.users.models import AnyRow, deliveries, notifications, preferences, users
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.sessions import require_alive

CHANNELS = ("IN_APP", "EMAIL", "SMS")
"""The channels there are; SMS where somebody sends text messages."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell someone. ``subject`` is the type and id of what it is about, ``engagement`` the kind and label
    of the order or pledge to name in the text, ``letter`` another text than the type's usual one."""

    event_id: str
    recipient_id: str
    type: str
    facts: Mapping[str, str]
    subject: tuple[str, str] | None = None
    engagement: tuple[str, str] | None = None
    letter: str | None = None


_NEW = select(notifications.c.id).where(among(notifications.c.id, "ids"))
_READERS = select(users.c.id, users.c.email, users.c.email_verified_at, users.c.locale).where(
    among(users.c.id, "ids"), users.c.deleted_at.is_(None)
)
_WANTED = select(preferences).where(among(preferences.c.user_id, "ids"))


async def notify(tx: AsyncConnection, deps: Deps, notices: Sequence[Notice]) -> list[str]:
    """Write the notices that were not written before, and queue their e-mails; who got something new.

    After the commit: ``deps.wake()`` and tell ``notifications:<user>``.
    """
    readers = await _readers(tx, {notice.recipient_id for notice in notices})
    wanted = await _wanted(tx, notices)
    rows: dict[str, dict[str, Any]] = {}
    channels: dict[str, Sequence[str]] = {}
    for notice in notices:
        if notice.recipient_id in readers:
            row = _row(notice, readers[notice.recipient_id], deps)
            chosen = wanted.get((notice.recipient_id, notice.type))
            # Nothing chosen and the choice of nothing are not the same.
            given = default_channels(notice.type, texts=deps.texts) if chosen is None else chosen
            row["in_inbox"] = "IN_APP" in given
            rows[row["id"]], channels[row["id"]] = row, given
    await insert_ignore(tx, notifications, list(rows.values()))
    # Which of them are new is asked, not counted: drivers count ignored rows differently.
    new = (await tx.execute(_NEW, {"ids": list(rows)})).scalars().all()
    await _deliver(tx, deps, [rows[id] for id in new], readers, channels)
    return sorted({rows[id]["recipient_id"] for id in new})


async def _readers(tx: AsyncConnection, user_ids: set[str]) -> dict[str, AnyRow]:
    return {row.id: row for row in await tx.execute(_READERS, {"ids": sorted(user_ids)})}


async def _wanted(tx: AsyncConnection, notices: Sequence[Notice]) -> dict[tuple[str, str], Sequence[str]]:
    wanted = {"ids": sorted({notice.recipient_id for notice in notices})}
    return {(row.user_id, row.type): row.channels for row in await tx.execute(_WANTED, wanted)}


def _row(notice: Notice, reader: AnyRow, deps: Deps) -> dict[str, Any]:
    facts = dict(notice.facts)
    if notice.engagement:
        facts["label"] = letters.order_label(*notice.engagement, reader.locale)
    letter = letters.notice_letter(notice.letter or notice.type, reader.locale, facts)
    return {
        "id": new_ulid(),
        "event_id": notice.event_id,
        "recipient_id": notice.recipient_id,
        "type": notice.type,
        "title": letter.subject,
        "body": letter.body,
        "subject_type": notice.subject[0] if notice.subject else None,
        "subject_id": notice.subject[1] if notice.subject else None,
        "read_at": None,
        "created_at": deps.now(),
    }


async def _deliver(
    tx: AsyncConnection,
    deps: Deps,
    rows: Sequence[dict[str, Any]],
    readers: Mapping[str, AnyRow],
    channels: Mapping[str, Sequence[str]],
) -> None:
    """The ways that new notices go, and the e-mails among them: two statements, however many there are."""
    now = deps.now()
    drafts = {}
    for row in rows:
        reader = readers[row["recipient_id"]]
        # An address that is not confirmed may be a stranger's.
        if "EMAIL" in channels[row["id"]] and reader.email and reader.email_verified_at:
            drafts[row["id"]] = mail.Draft(row["type"], reader.email, letters.Letter(row["title"], row["body"]))
    mail_ids = dict(zip(drafts, await mail.queue(tx, list(drafts.values()), now), strict=True)) if drafts else {}
    texted = [row for row in rows if deps.texts and "SMS" in channels[row["id"]]]
    text_ids = await _queue_texts(tx, deps, texted) if texted else {}
    ways = []
    for row in rows:
        shown, mail_id = row["in_inbox"], mail_ids.get(row["id"])
        way = {"notification_id": row["id"], "mail_id": None, "text_id": None, "sent_at": None}
        in_app = {"channel": "IN_APP", "status": "SENT" if shown else "SUPPRESSED", "sent_at": now if shown else None}
        email = {"channel": "EMAIL", "status": "QUEUED" if mail_id else "SUPPRESSED", "mail_id": mail_id}
        ways += [way | in_app, way | email]
    for row in texted:
        text_id = text_ids.get(row["id"])
        way = {"notification_id": row["id"], "mail_id": None, "text_id": text_id, "sent_at": None}
        ways.append(way | {"channel": "SMS", "status": "QUEUED" if text_id else "SUPPRESSED"})
    await insert_rows(tx, deliveries, ways)


async def _queue_texts(tx: AsyncConnection, deps: Deps, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The texts of those whose number is known, by notification."""
    theirs = select(users.c.id, users.c.phone).where(users.c.id.in_({row["recipient_id"] for row in rows}))
    phones = {row.id: row.phone for row in await tx.execute(theirs)}
    drafts = {
        row["id"]: texts.Draft(phones[row["recipient_id"]], letters.text_of(row["title"], row["body"]))
        for row in rows
        if phones.get(row["recipient_id"])
    }
    return dict(zip(drafts, await texts.queue(tx, list(drafts.values()), deps.now()), strict=True))


async def tell(deps: Deps, user_ids: Sequence[str]) -> None:
    """Wake the live inboxes of these users, after the commit."""
    await deps.changes.tell(*(f"notifications:{user_id}" for user_id in user_ids))


async def mark_read(deps: Deps, identity: Identity, ids: Sequence[str] | None) -> str:
    """Mark the caller's notifications as read, all of them when ``ids`` is None. Others' are left alone."""

    async def work(tx: AsyncConnection) -> str:
        user_id = await require_alive(tx, identity)
        mine = notifications.c.recipient_id == user_id
        unread = update(notifications).where(mine, notifications.c.read_at.is_(None))
        if ids is not None:
            found = await tx.execute(select(notifications.c.id).where(mine, notifications.c.id.in_(ids)))
            known = set(found.scalars())
            if not known.issuperset(ids):
                raise Rejected("NOT_FOUND", "Not all of these are your notifications.", ["ids"])
            unread = unread.where(notifications.c.id.in_(ids))
        await tx.execute(unread.values(read_at=deps.now()))
        return user_id

    return await deps.database.run(work)


async def prefer(deps: Deps, identity: Identity, type: str, channels: Sequence[str]) -> str:
    """The channels that the caller wants for a type. Raises Rejected INVALID for a channel that is not offered."""
    offered = CHANNELS if deps.texts else CHANNELS[:2]
    if unknown := set(channels) - set(offered):
        raise Rejected("INVALID", f"{', '.join(sorted(unknown))} is not offered yet.", ["channels"])
    chosen = [channel for channel in CHANNELS if channel in channels]

    async def work(tx: AsyncConnection) -> str:
        user_id = await require_alive(tx, identity)
        await upsert(tx, preferences, [{"user_id": user_id, "type": type, "channels": chosen}])
        return user_id

    return await deps.database.run(work)
