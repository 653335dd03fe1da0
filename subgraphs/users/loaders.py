"""The context of a request, and its batch loaders: one statement for all keys of a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from ipaddress import ip_address
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import Column, Select, Table, func, select

from db.reads import Read, by_key
from db.session import Database
from subgraphs.kit.execute import Caller
from subgraphs.kit.identity import Identity
from subgraphs.kit.media.uploads import Uploads
from subgraphs.kit.pagination import Cursors
from subgraphs.kit.rows import ManyRows, OneRow
from subgraphs.users import models
from subgraphs.users.service.deps import Deps, Device

MAX_DEVICE_NAME = 100


@dataclass(frozen=True)
class Context:
    """One request: who asks, from where, and what answers him."""

    identity: Identity
    device: Device
    deps: Deps
    cursors: Cursors
    avatars: Uploads
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loaders", Loaders(self.deps))


class Loaders:
    """Rows by key. ``*_of`` loads lists."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @cached_property
    def user(self) -> DataLoader[str, Any]:
        return self._one(models.users, models.users.c.id)

    @cached_property
    def session(self) -> DataLoader[str, Any]:
        return self._one(models.sessions, models.sessions.c.id)

    @cached_property
    def partner(self) -> DataLoader[str, Any]:
        return self._one(models.partners, models.partners.c.id)

    @cached_property
    def partner_by_slug(self) -> DataLoader[str, Any]:
        return self._one(models.partners, models.partners.c.slug)

    @cached_property
    def membership(self) -> DataLoader[str, Any]:
        """The membership row by user id."""
        return self._one(models.partner_members, models.partner_members.c.user_id)

    @cached_property
    def application(self) -> DataLoader[str, Any]:
        return self._one(models.applications, models.applications.c.id)

    @cached_property
    def application_of(self) -> DataLoader[str, Any]:
        """The application by the id of the seller that it became."""
        return self._one(models.applications, models.applications.c.partner_id)

    @cached_property
    def notification(self) -> DataLoader[str, Any]:
        return self._one(models.notifications, models.notifications.c.id)

    @cached_property
    def roles_of(self) -> DataLoader[str, list[Any]]:
        return self._many(models.user_roles, models.user_roles.c.user_id, models.user_roles.c.role)

    @cached_property
    def members_of(self) -> DataLoader[str, list[Any]]:
        return self._many(models.partner_members, models.partner_members.c.partner_id, models.partner_members.c.user_id)

    @cached_property
    def checks_of(self) -> DataLoader[str, list[Any]]:
        return self._many(
            models.application_checks, models.application_checks.c.application_id, models.application_checks.c.kind
        )

    @cached_property
    def deliveries_of(self) -> DataLoader[str, list[Any]]:
        return self._many(models.deliveries, models.deliveries.c.notification_id, models.deliveries.c.channel)

    @cached_property
    def preferences_of(self) -> DataLoader[str, list[Any]]:
        return self._many(models.preferences, models.preferences.c.user_id, models.preferences.c.type)

    @cached_property
    def social_accounts_of(self) -> DataLoader[str, list[Any]]:
        return self._many(models.social_accounts, models.social_accounts.c.user_id, models.social_accounts.c.provider)

    @cached_property
    def sessions_of(self) -> DataLoader[str, list[Any]]:
        """The live sessions of a user, the newest first."""
        table = models.sessions

        async def load(ids: list[str]) -> list[list[Any]]:
            alive = table.c.revoked_at.is_(None) & (table.c.expires_at > self._deps.now())
            query = select(table).where(table.c.user_id.in_(ids), alive).order_by(table.c.id.desc())
            return _grouped(ids, await _rows(self._deps.database, query), "user_id")

        return DataLoader(load)

    @cached_property
    def unread_of(self) -> DataLoader[str, int]:
        """How many notifications in the inbox are not read."""
        table = models.notifications

        async def load(ids: list[str]) -> list[int]:
            unread = table.c.recipient_id.in_(ids) & table.c.in_inbox.is_(True) & table.c.read_at.is_(None)
            query = select(table.c.recipient_id, func.count().label("unread")).where(unread)
            rows = await _rows(self._deps.database, query.group_by(table.c.recipient_id))
            counts = {row.recipient_id: row.unread for row in rows}
            return [counts.get(id, 0) for id in ids]

        return DataLoader(load)

    def _one(self, table: Table, key: Column[Any]) -> OneRow:
        return OneRow(self._deps.database, _by_key(table, key, None))

    def _many(self, table: Table, key: Column[Any], order: Column[Any]) -> ManyRows:
        return ManyRows(self._deps.database, _by_key(table, key, order))


@cache
def _by_key(table: Table, key: Column[Any], order: Column[Any] | None) -> Read:
    query = select(table)
    return by_key(query if order is None else query.order_by(order), key)


async def _rows(database: Database, query: Select[Any]) -> Sequence[Any]:
    async with database.read() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
        return rows


def _grouped(keys: Sequence[str], rows: Sequence[Any], name: str) -> list[list[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, name)].append(row)
    return [groups[key] for key in keys]


def device_of(headers: Mapping[str, str]) -> Device:
    """Where the caller is: the router writes one address into the header, whatever the caller had written there."""
    try:
        ip = str(ip_address(headers.get("x-forwarded-for", "")))
    except ValueError:
        ip = None
    agent = "".join(character for character in headers.get("user-agent", "") if character.isprintable())
    return Device(ip, agent[:MAX_DEVICE_NAME] or None)


def context_of(caller: Caller, deps: Deps, cursors: Cursors, avatars: Uploads) -> Context:
    """The context of one request."""
    return Context(caller.identity, device_of(caller.headers), deps, cursors, avatars)
