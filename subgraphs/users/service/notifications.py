"""The inbox of notifications, and who wants what on which channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.prepared import Prepared
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


class Notice(NamedTuple):
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
_VERIFIED = users.c.email_verified_at.is_not(None)
_READERS = Prepared(
    select(
        users.c.id,
        users.c.locale,
        case((_VERIFIED, users.c.email)).label("email"),  # an address that is not confirmed may be a stranger's
        users.c.email_index,
    ).where(among(users.c.id, "ids"), users.c.deleted_at.is_(None))
)
_WANTED = Prepared(
    select(preferences.c.user_id, preferences.c.type, preferences.c.channels).where(among(preferences.c.user_id, "ids"))
)


async def notify(tx: AsyncConnection, deps: Deps, notices: Sequence[Notice]) -> list[str]:
    """Write the notices that were not written before, and queue their e-mails; who got something new.

    After the commit: ``deps.wake()`` and tell ``notifications:<user>``.
    """
    readers = await _readers(tx, {notice.recipient_id for notice in notices})
    wanted = await _wanted(tx, notices)
    now = deps.now()
    rows: dict[str, dict[str, Any]] = {}
    channels: dict[str, Sequence[str]] = {}
    for notice in notices:
        reader = readers.get(notice.recipient_id)
        if reader is not None:
            row = _row(notice, reader.locale, now)
            chosen = wanted.get((notice.recipient_id, notice.type))
            # Nothing chosen and the choice of nothing are not the same.
            given = default_channels(notice.type, texts=deps.texts) if chosen is None else chosen
            row["in_inbox"] = "IN_APP" in given
            rows[row["id"]], channels[row["id"]] = row, given
    if await insert_ignore(tx, notifications, list(rows.values())) < len(rows):
        new = set((await tx.execute(_NEW, {"ids": list(rows)})).scalars())
        rows = {id: row for id, row in rows.items() if id in new}
    await _deliver(tx, deps, list(rows.values()), readers, channels)
    return sorted({row["recipient_id"] for row in rows.values()})


async def _readers(tx: AsyncConnection, user_ids: set[str]) -> dict[str, AnyRow]:
    return {row.id: row for row in await _READERS.rows(tx, ids=sorted(user_ids))}


async def _wanted(tx: AsyncConnection, notices: Sequence[Notice]) -> dict[tuple[str, str], Sequence[str]]:
    ids = sorted({notice.recipient_id for notice in notices})
    return {(row.user_id, row.type): row.channels for row in await _WANTED.rows(tx, ids=ids)}


def _row(notice: Notice, locale: str, now: datetime) -> dict[str, Any]:
    facts = dict(notice.facts)
    if notice.engagement:
        facts["label"] = letters.order_label(*notice.engagement, locale)
    title, body = letters.notice_letter(notice.letter or notice.type, locale, facts)
    return {
        "id": new_ulid(),
        "event_id": notice.event_id,
        "recipient_id": notice.recipient_id,
        "type": notice.type,
        "title": title,
        "body": body,
        "subject_type": notice.subject[0] if notice.subject else None,
        "subject_id": notice.subject[1] if notice.subject else None,
        "read_at": None,
        "created_at": now,
    }


async def _deliver(
    tx: AsyncConnection,
    deps: Deps,
    rows: Sequence[dict[str, Any]],
    readers: Mapping[str, AnyRow],
    channels: Mapping[str, Sequence[str]],
) -> None:
    """The ways that new notices go beside the inbox, and the e-mails among them: two statements, however many."""
    now = deps.now()
    drafts = {}
    for row in rows:
        reader = readers[row["recipient_id"]]
        if reader.email and "EMAIL" in channels[row["id"]]:
            letter = letters.Letter(row["title"], row["body"])
            drafts[row["id"]] = mail.Draft(row["type"], reader.email, letter, reader.email_index)
    mail_ids = dict(zip(drafts, await mail.queue(tx, list(drafts.values()), now), strict=True)) if drafts else {}
    texted = [row for row in rows if deps.texts and "SMS" in channels[row["id"]]]
    text_ids = await _queue_texts(tx, deps, texted) if texted else {}
    ways = [_way(row, "EMAIL", mail_id=mail_ids.get(row["id"])) for row in rows]
    ways += [_way(row, "SMS", text_id=text_ids.get(row["id"])) for row in texted]
    await insert_rows(tx, deliveries, ways)


def _way(
    row: Mapping[str, Any], channel: str, *, mail_id: str | None = None, text_id: str | None = None
) -> dict[str, Any]:
    return {
        "notification_id": row["id"],
        "channel": channel,
        "status": "QUEUED" if mail_id or text_id else "SUPPRESSED",
        "mail_id": mail_id,
        "text_id": text_id,
    }


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
