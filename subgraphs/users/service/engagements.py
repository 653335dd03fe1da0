"""Whose orders and pledges there are: a copy, for addressing notices and for knowing what a withdrawal would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among
from db.prepared import Prepared
from db.statements import insert_ignore
from subgraphs.users.models import AnyRow, engagements, waiting_notices
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.notifications import Notice, notify


class Engagement(NamedTuple):
    """An order or pledge. ``label``: its human number, empty if it has none."""

    id: str
    kind: str
    user_id: str
    label: str = ""


async def remember(tx: AsyncConnection, found: Sequence[Engagement]) -> None:
    """They exist. One that is known to have ended stays ended."""
    await insert_ignore(tx, engagements, [_row(each, closed=False) for each in found])


async def close(tx: AsyncConnection, ended: Sequence[Engagement]) -> None:
    """They have ended, even if nobody has told yet that they exist."""
    await insert_ignore(tx, engagements, [_row(each, closed=True) for each in ended])
    await tx.execute(update(engagements).where(engagements.c.id.in_([each.id for each in ended])).values(closed=True))


async def close_by_id(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """These have ended."""
    await tx.execute(update(engagements).where(engagements.c.id.in_(ids)).values(closed=True))


_KNOWN = Prepared(select(engagements).where(among(engagements.c.id, "ids")))


async def known(tx: AsyncConnection, ids: Sequence[str]) -> Mapping[str, AnyRow]:
    """What is known of these orders and pledges."""
    return {row.id: row for row in await _KNOWN.rows(tx, ids=ids)}


class OwnersNotice(NamedTuple):
    """A notice for whoever owns the order or pledge."""

    event_id: str
    type: str
    engagement_id: str
    subject: tuple[str, str]


async def notify_owners(tx: AsyncConnection, deps: Deps, wanted: Sequence[OwnersNotice]) -> list[str]:
    """Notify the owners; a notice whose owner is not known yet is kept until he is. Who got something new."""
    owners = await known(tx, [each.engagement_id for each in wanted])
    waiting = [_waiting(each, deps.now()) for each in wanted if each.engagement_id not in owners]
    await insert_ignore(tx, waiting_notices, waiting)
    return await notify(tx, deps, [_notice(each, owners) for each in wanted if each.engagement_id in owners])


_READY = Prepared(
    select(waiting_notices)
    .select_from(waiting_notices.join(engagements, engagements.c.id == waiting_notices.c.engagement_id))
    .limit(100)
    .with_for_update()
)


async def release_waiting(tx: AsyncConnection, deps: Deps) -> list[str]:
    """Notify those whose order or pledge has become known. Who got something new."""
    rows = await _READY.rows(tx)
    if not rows:
        return []
    ready = [OwnersNotice(row.event_id, row.type, row.engagement_id, tuple(row.facts["subject"])) for row in rows]
    key = tuple_(waiting_notices.c.event_id, waiting_notices.c.type)
    await tx.execute(delete(waiting_notices).where(key.in_([(row.event_id, row.type) for row in rows])))
    return await notify_owners(tx, deps, ready)


def _notice(each: OwnersNotice, owners: Mapping[str, AnyRow]) -> Notice:
    owner = owners[each.engagement_id]
    return Notice(each.event_id, owner.user_id, each.type, {}, each.subject, (owner.kind, owner.label))


def _waiting(each: OwnersNotice, now: datetime) -> dict[str, Any]:
    return {
        "event_id": each.event_id,
        "type": each.type,
        "engagement_id": each.engagement_id,
        "facts": {"subject": list(each.subject)},
        "created_at": now,
    }


def _row(each: Engagement, *, closed: bool) -> dict[str, Any]:
    return {"id": each.id, "kind": each.kind, "user_id": each.user_id, "label": each.label[:64], "closed": closed}
