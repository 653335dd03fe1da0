"""Queries, mutations and the subscription of the users subgraph: each hands over to a use case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import strawberry
from sqlalchemy import ColumnElement, select
from strawberry import UNSET
from strawberry.federation.schema_directives import Authenticated, ListSize

from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied
from subgraphs.kit.ids import local_id, parse_id
from subgraphs.users.avatar_schema import AvatarMutation
from subgraphs.users.entities import ENTITIES
from subgraphs.users.enums import NotificationChannel, NotificationType, PartnerApplicationStatus
from subgraphs.users.loaders import Context
from subgraphs.users.models import applications, notifications, sessions, users
from subgraphs.users.payloads import account_payload, application_payload, auth_payload
from subgraphs.users.service import accounts, avatars, partners, passwords, people, withdrawal
from subgraphs.users.service import notifications as inbox
from subgraphs.users.service import sessions as session_service
from subgraphs.users.service.deps import Device
from subgraphs.users.social_schema import SocialMutation
from subgraphs.users.types import (
    AccountPayload,
    AccountRegisterInput,
    AuthPayload,
    Info,
    InputError,
    Notification,
    Partner,
    PartnerApplicationConnection,
    PartnerApplicationEdge,
    PartnerApplicationInput,
    PartnerApplicationPayload,
    User,
    UserConnection,
    UserEdge,
    application_of,
    fetch_page,
    notification_of,
    partner_of,
    user_of,
)

T = TypeVar("T")

POLL_SECONDS = 10.0
MAX_SEARCH = 100
LATE = timedelta(minutes=1)
"""A notification may be committed so long after the time that it carries: longer than any transaction takes."""


@strawberry.type
class Query:
    @strawberry.federation.field(authenticated=True)
    async def me(self, info: Info) -> User | None:
        user_id = info.context.identity.require_user()
        if not await _session_lives(info.context):
            raise AccessDenied("UNAUTHENTICATED", "This session has ended. Log in again.")
        return await _user(info.context, user_id)

    @strawberry.federation.field(requires_scopes=[["users:read"]])
    async def user(self, info: Info, id: strawberry.ID) -> User | None:
        info.context.identity.require_scope("users:read")
        found = parse_id(id)
        return await _user(info.context, found[1]) if found and found[0] == "User" else None

    @strawberry.federation.field(
        requires_scopes=[["users:read"]],
        directives=[ListSize(slicing_arguments=["first"], sized_fields=["edges"], require_one_slicing_argument=UNSET)],  # type: ignore[call-arg]
    )
    async def users(
        self, info: Info, first: int | None = 20, after: str | None = UNSET, search: str | None = UNSET
    ) -> UserConnection | None:
        info.context.identity.require_scope("users:read")
        where: list[ColumnElement[bool]] = [users.c.deleted_at.is_(None)]
        if text := (search or "").strip()[:MAX_SEARCH]:
            where.append(people.matching(text))
        page = await fetch_page(info.context, "users", users, first, after or None, *where)
        edges = [
            UserEdge(cursor=cursor, node=user_of(row, info.context))
            for row, cursor in zip(page.rows, page.cursors, strict=True)
        ]
        return UserConnection(edges=edges, page_info=page.info, count=select(users.c.id).where(*where))

    @strawberry.federation.field(tags=["partner"])
    async def partner(self, info: Info, id: strawberry.ID | None = UNSET, slug: str | None = UNSET) -> Partner | None:
        loaders = info.context.loaders
        row = None
        if id:
            found = parse_id(id)
            row = await loaders.partner.load(found[1]) if found and found[0] == "Partner" else None
            row = row if not slug or (row and row.slug == slug) else None
        elif slug:
            row = await loaders.partner_by_slug.load(slug[:100])
        return row and partner_of(row)

    @strawberry.federation.field(requires_scopes=[["partners:review"]])
    async def partner_applications(
        self,
        info: Info,
        status: PartnerApplicationStatus | None = UNSET,
        first: int | None = 20,
        after: str | None = UNSET,
    ) -> PartnerApplicationConnection | None:
        info.context.identity.require_scope("partners:review")
        where = [applications.c.status == status.value] if status else []
        page = await fetch_page(info.context, "applications", applications, first, after or None, *where)
        edges = [
            PartnerApplicationEdge(cursor=cursor, node=application_of(row))
            for row, cursor in zip(page.rows, page.cursors, strict=True)
        ]
        count = select(applications.c.id).where(*where)
        return PartnerApplicationConnection(edges=edges, page_info=page.info, count=count)


@strawberry.type
class Mutation(SocialMutation, AvatarMutation):
    @strawberry.mutation
    async def account_register(self, info: Info, input: AccountRegisterInput) -> AccountPayload:
        given = accounts.Registration(
            email=input.email,
            password=input.password,
            name=input.name,
            phone=input.phone or None,
            display_name=input.display_name or None,
            agreed_term_versions=input.agreed_term_versions,
        )
        return await account_payload(info.context, accounts.register(info.context.deps, given))

    @strawberry.mutation
    async def account_email_verify(self, info: Info, token: str) -> AuthPayload:
        context = info.context
        return await auth_payload(context, accounts.verify_email(context.deps, token, context.device))

    @strawberry.mutation
    async def account_email_verification_resend(self, info: Info, email: str) -> AccountPayload:
        context = info.context
        return await account_payload(
            context, accounts.resend_verification(context.deps, context.identity, email, context.device)
        )

    @strawberry.federation.mutation(authenticated=True)
    async def account_update(
        self,
        info: Info,
        name: str | None = UNSET,
        phone: str | None = UNSET,
        display_name: str | None = UNSET,
        avatar_upload_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Your picture, as `avatarUploadCreate` named it; empty: none any more."),
        ] = UNSET,
        id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Whose account: nobody may change another's.")
        ] = UNSET,
    ) -> AccountPayload:
        context = info.context

        async def change() -> str:
            whose = local_id("User", id, field=["id"]) if id else None
            return await accounts.change_account(
                context.deps,
                context.identity,
                whose=whose,
                name=given(name),
                phone=given(phone),
                display_name=given(display_name),
                avatar=await _avatar(context, given(avatar_upload_id)),
            )

        return await account_payload(context, change())

    @strawberry.federation.mutation(authenticated=True)
    async def account_delete(
        self, info: Info, password: str | None = UNSET, reason: str | None = UNSET
    ) -> AccountPayload:
        context = info.context
        return await account_payload(
            context, withdrawal.withdraw(context.deps, context.identity, password or None, reason or None)
        )

    @strawberry.mutation
    async def account_id_recover(self, info: Info, email: str) -> AccountPayload:
        context = info.context
        return await account_payload(context, accounts.recover_id(context.deps, email, context.device))

    @strawberry.mutation
    async def token_create(self, info: Info, email: str, password: str, device_name: str | None = UNSET) -> AuthPayload:
        context = info.context
        device = Device(context.device.ip, _printable(device_name) or context.device.name)
        return await auth_payload(context, session_service.log_in(context.deps, email, password, device))

    @strawberry.mutation
    async def token_refresh(self, info: Info, refresh_token: str) -> AuthPayload:
        context = info.context
        return await auth_payload(context, session_service.refresh(context.deps, refresh_token, context.device))

    @strawberry.federation.mutation(authenticated=True)
    async def session_revoke(self, info: Info, id: strawberry.ID | None = UNSET) -> AccountPayload:
        context = info.context

        async def revoke() -> str:
            wanted = local_id("Session", id, field=["id"]) if id else None
            await session_service.revoke(context.deps, context.identity, wanted)
            return context.identity.require_user()

        return await account_payload(context, revoke())

    @strawberry.federation.mutation(authenticated=True)
    async def sessions_revoke_all(self, info: Info, except_current: bool | None = False) -> AccountPayload:
        context = info.context

        async def revoke() -> str:
            keep = bool(except_current)
            await session_service.revoke_all(context.deps, context.identity, except_current=keep)
            return context.identity.require_user()

        return await account_payload(context, revoke())

    @strawberry.federation.mutation(authenticated=True)
    async def password_change(self, info: Info, current_password: str, new_password: str) -> AccountPayload:
        context = info.context
        return await account_payload(
            context, passwords.change(context.deps, context.identity, current_password, new_password)
        )

    @strawberry.mutation
    async def password_reset_request(self, info: Info, email: str) -> AccountPayload:
        context = info.context
        return await account_payload(context, passwords.request_reset(context.deps, email, context.device))

    @strawberry.mutation
    async def password_reset(self, info: Info, token: str, new_password: str) -> AuthPayload:
        context = info.context
        return await auth_payload(context, passwords.reset(context.deps, token, new_password, context.device))

    @strawberry.federation.mutation(authenticated=True)
    async def partner_application_submit(
        self, info: Info, input: PartnerApplicationInput, idempotency_key: str
    ) -> PartnerApplicationPayload:
        context = info.context
        given = partners.Application(**vars(input))
        return await application_payload(
            context, partners.submit(context.deps, context.identity, given, idempotency_key)
        )

    @strawberry.federation.mutation(requires_scopes=[["partners:review"]])
    async def partner_application_review(
        self, info: Info, id: strawberry.ID, decision: PartnerApplicationStatus, reason: str | None = UNSET
    ) -> PartnerApplicationPayload:
        context = info.context

        async def review() -> str:
            context.identity.require_scope("partners:review")
            application_id = local_id("PartnerApplication", id, field=["id"])
            return await partners.review(context.deps, context.identity, application_id, decision.value, reason or None)

        return await application_payload(context, review())

    @strawberry.federation.mutation(authenticated=True)
    async def notifications_mark_read(self, info: Info, ids: list[strawberry.ID] | None = UNSET) -> AccountPayload:
        context = info.context

        async def mark() -> str:
            chosen = given(ids)
            wanted = None if chosen is None else [local_id("Notification", id, field=["ids"]) for id in chosen]
            return await inbox.mark_read(context.deps, context.identity, wanted)

        return await account_payload(context, mark())

    @strawberry.federation.mutation(authenticated=True)
    async def notification_preference_update(
        self, info: Info, type: NotificationType, channels: list[NotificationChannel]
    ) -> AccountPayload:
        context = info.context
        wanted = [channel.value for channel in channels]
        return await account_payload(context, inbox.prefer(context.deps, context.identity, type.value, wanted))


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Authenticated()])
    async def notification_received(self, info: Info) -> AsyncIterator[Notification]:
        # Not a generator itself: whoever is not logged in is refused at once, before anything is streamed.
        return _received(info.context, info.context.identity.require_user())


async def _received(context: Context, user_id: str) -> AsyncIterator[Notification]:
    since = context.deps.now()
    seen = {row.id for row in await _newer(context, user_id, since - LATE)}
    # Closed here and not by the garbage collector: an ended stream listens to nothing.
    async with aclosing(_hints(context, f"notifications:{user_id}")) as hints:
        async for _ in hints:
            if not await _session_lives(context):
                return
            looked, rows = context.deps.now(), await _newer(context, user_id, since - LATE)
            told, seen, since = seen, {row.id for row in rows}, looked
            for row in rows:
                if row.id not in told:
                    yield notification_of(row)


async def _hints(context: Context, topic: str) -> AsyncGenerator[None, None]:
    """Whenever there may be something new; at least every POLL_SECONDS, for a hint may get lost."""
    topics = [topic]
    if context.identity.session_id:
        topics.append(f"session:{context.identity.session_id}")
    listener = context.deps.changes.listen(*topics)
    waiting: asyncio.Future[str] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(listener))
            done, _ = await asyncio.wait([waiting], timeout=POLL_SECONDS)
            if done:
                waiting = None
            yield
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await listener.aclose()


async def _newer(context: Context, user_id: str, since: datetime) -> Sequence[Any]:
    table = notifications
    query = select(table).where(table.c.recipient_id == user_id, table.c.created_at >= since)
    async with context.deps.database.read() as connection:
        rows: Sequence[Any] = (
            await connection.execute(query.where(table.c.in_inbox.is_(True)).order_by(table.c.id))
        ).all()
    return rows


async def _session_lives(context: Context) -> bool:
    """Whether the session goes on that the access token was signed for. Read anew each time, past the loader."""
    if context.identity.session_id is None:
        return True
    query = select(sessions.c.id).where(sessions.c.id == context.identity.session_id, sessions.c.revoked_at.is_(None))
    async with context.deps.database.read() as connection:
        return (await connection.execute(query)).first() is not None


async def _user(context: Context, user_id: str) -> User | None:
    row = await context.loaders.user.load(user_id)
    return user_of(row, context) if row and row.deleted_at is None else None


def given(value: T | None) -> T | None:
    """An argument's value; None when it was left out. (Its default is UNSET: the contract has no ``= null``.)"""
    return None if value is UNSET else value


async def _avatar(context: Context, named: str | None) -> str | None:
    """The upload of a picture that may be shown now: checking it takes too long for a transaction."""
    if not named:
        return named
    upload_id = local_id("AvatarUpload", named, field=avatars.FIELD)
    await context.avatars.prepare(context.identity.require_user(), [upload_id])
    return upload_id


def _printable(text: str | None) -> str:
    return "".join(character for character in text or "" if character.isprintable()).strip()[:100]


schema = strawberry.federation.Schema(
    query=Query, mutation=Mutation, subscription=Subscription, types=[InputError], federation_version="2.9"
)
resolve_entities(schema, ENTITIES)
