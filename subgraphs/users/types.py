"""The GraphQL types of the users subgraph: thin views of rows, loaded in batches.

What is personal is shown to its owner and to those who hold ``users:read``; to others it is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import func, select

from db.statements import after as comes_after
from subgraphs.kit.caching import NEVER, kept
from subgraphs.kit.errors import AccessDenied, Rejected, RejectedTogether, reasons
from subgraphs.kit.ids import global_id
from subgraphs.kit.pagination import Page, page_size
from subgraphs.kit.types import Node, PageInfo
from subgraphs.users.domain import default_channels
from subgraphs.users.enums import (
    CheckStatus,
    DeliveryAttemptStatus,
    NotificationChannel,
    NotificationType,
    PartnerApplicationStatus,
    PartnerCheckKind,
    PartnerStatus,
    SocialProvider,
    UserErrorCode,
    UserRole,
)
from subgraphs.users.loaders import Context
from subgraphs.users.models import notifications as notification_table

Info = strawberry.Info[Context, None]


@strawberry.interface
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.federation.type(shareable=True)
class InputError(UserError):
    pass


def errors_of(error: Rejected | RejectedTogether) -> list[UserError]:
    """The ``userErrors`` of a refused command."""
    return [
        InputError(code=UserErrorCode(each.code), message=each.message, field=each.field) for each in reasons(error)
    ]


@strawberry.federation.type(keys=["id"])
class User(Node):
    row: strawberry.Private[Any]
    own: strawberry.Private[bool]
    personal: strawberry.Private[bool]

    @strawberry.federation.field(authenticated=True)
    def email(self) -> str | None:
        return self.row.email if self.personal else None

    @strawberry.federation.field(authenticated=True)
    def name(self) -> str | None:
        return self.row.name if self.personal else None

    @strawberry.federation.field(authenticated=True)
    def phone(self) -> str | None:
        return self.row.phone if self.personal else None

    @strawberry.federation.field(shareable=True)
    def display_name(self) -> str:
        return str(self.row.display_name)

    @strawberry.federation.field(shareable=True)
    def avatar_url(self) -> str | None:
        url: str | None = self.row.avatar_url
        return url

    @strawberry.federation.field(authenticated=True)
    def email_verified_at(self) -> datetime | None:
        return self.row.email_verified_at if self.personal else None

    @strawberry.field
    def locale(self) -> str:
        return str(self.row.locale)

    @strawberry.field
    def time_zone(self) -> str:
        return str(self.row.time_zone)

    @strawberry.field
    def created_at(self) -> datetime:
        created_at: datetime = self.row.created_at
        return created_at

    @strawberry.federation.field(authenticated=True)
    async def social_accounts(self, info: Info) -> list[SocialAccount]:
        self._require_personal()
        rows = await info.context.loaders.social_accounts_of.load(self.row.id)
        return [SocialAccount(provider=SocialProvider(row.provider), linked_at=row.linked_at) for row in rows]

    @strawberry.federation.field(authenticated=True)
    async def sessions(self, info: Info) -> list[Session]:
        self._require_personal()
        rows = await info.context.loaders.sessions_of.load(self.row.id)
        return [session_of(row, info.context) for row in rows]

    @strawberry.field
    async def partner(self, info: Info) -> Partner | None:
        membership = await info.context.loaders.membership.load(self.row.id) if self.personal else None
        if membership is None:
            return None
        return partner_of(await info.context.loaders.partner.load(membership.partner_id))

    @strawberry.field
    async def roles(self, info: Info) -> list[UserRole]:
        self._require_personal()
        return [UserRole(row.role) for row in await info.context.loaders.roles_of.load(self.row.id)]

    @strawberry.federation.field(authenticated=True)
    async def notifications(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET, unread_only: bool | None = False
    ) -> NotificationConnection:
        self._require_own()
        return await _inbox(info.context, self.row.id, first, after or None, bool(unread_only))

    @strawberry.federation.field(authenticated=True)
    async def unread_notification_count(self, info: Info) -> int:
        self._require_own()
        return await info.context.loaders.unread_of.load(self.row.id)

    @strawberry.federation.field(authenticated=True)
    async def notification_preferences(self, info: Info) -> list[NotificationPreference]:
        self._require_own()
        chosen = {row.type: row.channels for row in await info.context.loaders.preferences_of.load(self.row.id)}
        return [
            NotificationPreference(
                type=type,
                channels=[
                    NotificationChannel(each)
                    for each in chosen.get(type.value, default_channels(type.value, texts=info.context.deps.texts))
                ],
            )
            for type in NotificationType
        ]

    def _require_personal(self) -> None:
        if not self.personal:
            raise AccessDenied("FORBIDDEN", "This is another user's.")

    def _require_own(self) -> None:
        if not self.own:
            raise AccessDenied("FORBIDDEN", "This is another user's.")


@strawberry.type
class SocialAccount:
    provider: SocialProvider
    linked_at: datetime


@strawberry.federation.type(keys=["id"])
class Session(Node):
    device_name: str | None
    ip_address: str | None
    created_at: datetime
    last_used_at: datetime
    current: bool


@strawberry.federation.type(keys=["id", "slug"], tags=["partner"], directives=[kept(300)])
class Partner(Node):
    row: strawberry.Private[Any]
    slug: str
    name: str
    logo_url: str | None
    description: str | None
    status: PartnerStatus

    @strawberry.federation.field(requires_scopes=[["partner:self"]])
    async def business_number(self, info: Info) -> str | None:
        return self.row.business_number if await self._is_members(info.context) else None

    @strawberry.federation.field(requires_scopes=[["partner:self"]], directives=[NEVER])
    async def members(self, info: Info) -> list[User]:
        if not await self._is_members(info.context):
            raise AccessDenied("FORBIDDEN", "This is another seller's.")
        memberships = await info.context.loaders.members_of.load(self.row.id)
        rows = await info.context.loaders.user.load_many([each.user_id for each in memberships])
        return [user_of(row, info.context) for row in rows]

    @strawberry.field(directives=[NEVER])
    async def application(self, info: Info) -> PartnerApplication | None:
        if not ("partners:review" in info.context.identity.scopes or await self._is_members(info.context)):
            return None
        row = await info.context.loaders.application_of.load(self.row.id)
        return row and application_of(row)

    async def _is_members(self, context: Context) -> bool:
        caller = context.identity.user_id
        membership = await context.loaders.membership.load(caller) if caller else None
        return membership is not None and membership.partner_id == self.row.id


@strawberry.type
class PartnerApplicationCheck:
    kind: PartnerCheckKind
    status: CheckStatus
    message: str | None


@strawberry.federation.type(keys=["id"])
class PartnerApplication(Node):
    row: strawberry.Private[Any]
    business_name: str
    business_number: str
    representative_name: str
    status: PartnerApplicationStatus
    rejection_reason: str | None
    submitted_at: datetime
    reviewed_at: datetime | None

    @strawberry.field
    async def applicant(self, info: Info) -> User:
        return user_of(await info.context.loaders.user.load(self.row.applicant_id), info.context)

    @strawberry.field
    async def checks(self, info: Info) -> list[PartnerApplicationCheck]:
        return [
            PartnerApplicationCheck(
                kind=PartnerCheckKind(row.kind), status=CheckStatus(row.status), message=row.message
            )
            for row in await info.context.loaders.checks_of.load(self.row.id)
        ]


@strawberry.type
class NotificationDelivery:
    channel: NotificationChannel
    status: DeliveryAttemptStatus
    sent_at: datetime | None


@strawberry.federation.type(keys=["id"])
class Notification(Node):
    row: strawberry.Private[Any]
    type: NotificationType
    title: str
    body: str
    subject_id: strawberry.ID | None
    read_at: datetime | None
    created_at: datetime

    @strawberry.field
    async def deliveries(self, info: Info) -> list[NotificationDelivery]:
        shown = self.row.in_inbox
        in_app = NotificationDelivery(
            channel=NotificationChannel.IN_APP,
            status=DeliveryAttemptStatus.SENT if shown else DeliveryAttemptStatus.SUPPRESSED,
            sent_at=self.row.created_at if shown else None,
        )
        sent = [
            NotificationDelivery(
                channel=NotificationChannel(row.channel),
                status=DeliveryAttemptStatus(row.status),
                sent_at=row.sent_at,
            )
            for row in await info.context.loaders.deliveries_of.load(self.row.id)
        ]
        return sorted([in_app, *sent], key=lambda each: each.channel.value)


@strawberry.type
class NotificationPreference:
    type: NotificationType
    channels: list[NotificationChannel]


@strawberry.type
class NotificationEdge:
    cursor: str
    node: Notification


@strawberry.type
class NotificationConnection:
    edges: list[NotificationEdge]
    page_info: PageInfo


@strawberry.type
class UserEdge:
    cursor: str
    node: User


@strawberry.type
class UserConnection:
    edges: list[UserEdge]
    page_info: PageInfo
    count: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self, info: Info) -> int | None:
        return await _count(info.context, self.count)


@strawberry.type
class PartnerApplicationEdge:
    cursor: str
    node: PartnerApplication


@strawberry.type
class PartnerApplicationConnection:
    edges: list[PartnerApplicationEdge]
    page_info: PageInfo
    count: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self, info: Info) -> int | None:
        return await _count(info.context, self.count)


@strawberry.type
class AuthTokens:
    access_token: str
    refresh_token: str
    expires_at: datetime
    user: User
    session: Session


@strawberry.type
class AccountPayload:
    user: User | None
    user_errors: list[UserError]


@strawberry.type
class AuthPayload:
    tokens: AuthTokens | None
    user_errors: list[UserError]


@strawberry.type
class PartnerApplicationPayload:
    application: PartnerApplication | None
    user_errors: list[UserError]


@strawberry.input
class AccountRegisterInput:
    email: str
    password: str
    name: str
    phone: str | None = strawberry.UNSET
    display_name: str | None = strawberry.UNSET
    agreed_term_versions: list[str]


@strawberry.input
class PartnerApplicationInput:
    business_name: str
    business_number: str
    representative_name: str
    contact_phone: str
    bank_code: str
    bank_account_number: str


# -- From rows --------------------------------------------------------------------------------------------------------


def user_of(row: Any, context: Context, *, own: bool = False) -> User:
    """``own``: the caller has just proved to be this user, whatever his token says."""
    mine = own or context.identity.user_id == row.id
    return User(
        id=strawberry.ID(global_id("User", row.id)),
        row=row,
        own=mine,
        personal=mine or "users:read" in context.identity.scopes,
    )


def session_of(row: Any, context: Context, *, current: bool = False) -> Session:
    return Session(
        id=strawberry.ID(global_id("Session", row.id)),
        device_name=row.device_name,
        ip_address=row.ip_address,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        current=current or row.id == context.identity.session_id,
    )


def partner_of(row: Any) -> Partner:
    return Partner(
        id=strawberry.ID(global_id("Partner", row.id)),
        row=row,
        slug=row.slug,
        name=row.name,
        logo_url=row.logo_url,
        description=row.description,
        status=PartnerStatus(row.status),
    )


def application_of(row: Any) -> PartnerApplication:
    return PartnerApplication(
        id=strawberry.ID(global_id("PartnerApplication", row.id)),
        row=row,
        business_name=row.business_name,
        business_number=row.business_number,
        representative_name=row.representative_name,
        status=PartnerApplicationStatus(row.status),
        rejection_reason=row.rejection_reason,
        submitted_at=row.submitted_at,
        reviewed_at=row.reviewed_at,
    )


def notification_of(row: Any) -> Notification:
    subject = global_id(row.subject_type, row.subject_id) if row.subject_id else None
    return Notification(
        id=strawberry.ID(global_id("Notification", row.id)),
        row=row,
        type=NotificationType(row.type),
        title=row.title,
        body=row.body,
        subject_id=strawberry.ID(subject) if subject else None,
        read_at=row.read_at,
        created_at=row.created_at,
    )


async def fetch_page(
    context: Context, order: str, table: Any, first: int | None, after: str | None, *where: Any
) -> Page[Any]:
    """A page of a table by id, the newest first."""
    size = page_size(first)
    query = select(table).where(*where).order_by(table.c.id.desc()).limit(size + 1)
    if after is not None:
        query = query.where(comes_after([table.c.id], context.cursors.decode(order, after), descending=True))
    async with context.deps.database.read() as connection:
        rows: Sequence[Any] = (await connection.execute(query)).all()
    return context.cursors.page(order, rows, size, after, lambda row: [row.id])


async def _inbox(
    context: Context, user_id: str, first: int | None, after: str | None, unread_only: bool
) -> NotificationConnection:
    table = notification_table
    where = [table.c.recipient_id == user_id, table.c.in_inbox.is_(True)]
    if unread_only:
        where.append(table.c.read_at.is_(None))
    page = await fetch_page(context, "notifications", table, first, after, *where)
    edges = [
        NotificationEdge(cursor=cursor, node=notification_of(row))
        for row, cursor in zip(page.rows, page.cursors, strict=True)
    ]
    return NotificationConnection(edges=edges, page_info=page.info)


async def _count(context: Context, query: Any) -> int:
    async with context.deps.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(query.subquery()))).scalar_one())
