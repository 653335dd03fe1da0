"""Entities for the router: rows by key, a batch for each type, each shown only to whom it may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from subgraphs.kit.entities import Representation, Resolve
from subgraphs.kit.ids import parse_id
from subgraphs.users.loaders import Context
from subgraphs.users.types import (
    Notification,
    Partner,
    PartnerApplication,
    Session,
    User,
    application_of,
    notification_of,
    partner_of,
    session_of,
    user_of,
)


async def _rows(loader: Any, type_name: str, representations: Sequence[Representation]) -> list[Any]:
    """The rows by the representations' ``id``, None where it is not an id of the type."""
    ids = [parse_id(str(each.get("id"))) for each in representations]
    known = [found[1] if found and found[0] == type_name else None for found in ids]
    rows: Mapping[str, Any] = dict(
        zip(wanted := sorted({id for id in known if id}), await loader.load_many(wanted), strict=True)
    )
    return [rows.get(id) if id else None for id in known]


async def _users(representations: Sequence[Representation], context: Context) -> list[User | None]:
    rows = await _rows(context.loaders.user, "User", representations)
    return [row and user_of(row, context) for row in rows]


async def _sessions(representations: Sequence[Representation], context: Context) -> list[Session | None]:
    rows = await _rows(context.loaders.session, "Session", representations)
    mine = context.identity.user_id
    return [session_of(row, context) if row and row.user_id == mine else None for row in rows]


async def _partners(representations: Sequence[Representation], context: Context) -> list[Partner | None]:
    rows = await _rows(context.loaders.partner, "Partner", representations)
    slugs = [str(each["slug"])[:100] for each in representations if "id" not in each and "slug" in each]
    by_slug = {row.slug: row for row in await context.loaders.partner_by_slug.load_many(slugs) if row}
    found = [
        row if "id" in each else by_slug.get(str(each.get("slug")))
        for row, each in zip(rows, representations, strict=True)
    ]
    return [row and partner_of(row) for row in found]


async def _applications(representations: Sequence[Representation], context: Context) -> list[PartnerApplication | None]:
    rows = await _rows(context.loaders.application, "PartnerApplication", representations)
    identity = context.identity
    reviews = "partners:review" in identity.scopes
    return [application_of(row) if row and (reviews or row.applicant_id == identity.user_id) else None for row in rows]


async def _notifications(representations: Sequence[Representation], context: Context) -> list[Notification | None]:
    rows = await _rows(context.loaders.notification, "Notification", representations)
    mine = context.identity.user_id
    return [notification_of(row) if row and row.recipient_id == mine else None for row in rows]


ENTITIES: Mapping[str, Resolve] = {
    "User": _users,
    "Session": _sessions,
    "Partner": _partners,
    "PartnerApplication": _applications,
    "Notification": _notifications,
}
