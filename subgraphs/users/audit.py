"""What must hold in the tables of users, whatever happened."""

from __future__ import annotations

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.subgraph import Violation
from subgraphs.users.models import (
    applications,
    avatar_uploads,
    deliveries,
    mails,
    notifications,
    partner_members,
    partners,
    refresh_tokens,
    sessions,
    text_messages,
    user_roles,
    users,
)

LISTED = 20


async def audit(connection: AsyncConnection) -> list[Violation]:
    """Every violation, at most LISTED of each kind; none is healthy."""
    found: list[Violation] = []
    for invariant, query in _QUERIES:
        rows = (await connection.execute(query.limit(LISTED))).all()
        found += [Violation(invariant, " ".join(str(value) for value in row)) for row in rows]
    return found


_Query = Select[*tuple[object, ...]]


def _of_accounts() -> list[tuple[str, _Query]]:
    unfinished = refresh_tokens.c.used_at.is_(None)
    return [
        (
            "users.withdrawn_is_erased: a withdrawn user has neither personal data nor an open session",
            select(users.c.id).where(
                users.c.deleted_at.is_not(None),
                or_(
                    users.c.email.is_not(None),
                    users.c.name.is_not(None),
                    users.c.phone.is_not(None),
                    users.c.avatar_url.is_not(None),
                    users.c.password_hash.is_not(None),
                    exists().where(sessions.c.user_id == users.c.id, sessions.c.revoked_at.is_(None)),
                ),
            ),
        ),
        (
            "users.picture: a user's picture is the one upload of his that is used",
            select(users.c.id)
            .outerjoin(avatar_uploads, and_(avatar_uploads.c.owner_id == users.c.id, avatar_uploads.c.status == "USED"))
            .group_by(users.c.id, users.c.avatar_url)
            .having(
                or_(
                    func.count(avatar_uploads.c.id) > 1,
                    func.count(avatar_uploads.c.id) != func.count(users.c.avatar_url),
                    func.max(avatar_uploads.c.url) != users.c.avatar_url,
                )
            ),
        ),
        (
            "users.one_refresh_token: a session has at most one unused refresh token",
            select(refresh_tokens.c.session_id)
            .where(unfinished)
            .group_by(refresh_tokens.c.session_id)
            .having(func.count() > 1),
        ),
    ]


def _of_notifications() -> list[tuple[str, _Query]]:
    email = deliveries.c.channel == "EMAIL"
    return [
        (
            "users.channels: a notification has a delivery by e-mail, whatever became of it",
            select(notifications.c.id)
            .outerjoin(deliveries, and_(deliveries.c.notification_id == notifications.c.id, email))
            .where(deliveries.c.channel.is_(None)),
        ),
        (
            "users.mail_delivery: an e-mail delivery says what its mail says",
            select(deliveries.c.notification_id, deliveries.c.status, mails.c.status)
            .join(mails, mails.c.id == deliveries.c.mail_id)
            .where(email, deliveries.c.status != mails.c.status),
        ),
        (
            "users.text_delivery: a delivery by text message says what its text says",
            select(deliveries.c.notification_id, deliveries.c.status, text_messages.c.status)
            .join(text_messages, text_messages.c.id == deliveries.c.text_id)
            .where(
                deliveries.c.status != text_messages.c.status,
                or_(deliveries.c.status != "QUEUED", text_messages.c.status != "SENDING"),
            ),
        ),
    ]


def _of_sellers() -> list[tuple[str, _Query]]:
    application = applications.c
    live = application.status != "REJECTED"
    return [
        (
            "users.approved_sells: an approved application has its seller, any other has none",
            select(application.id, application.status).where(
                or_(
                    and_(application.status == "APPROVED", application.partner_id.is_(None)),
                    and_(application.status != "APPROVED", application.partner_id.is_not(None)),
                )
            ),
        ),
        (
            "users.live_application: an application holds its applicant and number until it is rejected",
            select(application.id).where(
                or_(
                    and_(live, application.live_business_number.is_(None)),
                    and_(~live, application.live_business_number.is_not(None)),
                )
            ),
        ),
        (
            "users.members: a member of a seller has the role PARTNER",
            select(partner_members.c.user_id).where(
                ~exists().where(user_roles.c.user_id == partner_members.c.user_id, user_roles.c.role == "PARTNER")
            ),
        ),
        (
            "users.sellers: a seller that is active has a member",
            select(partners.c.id).where(
                partners.c.status == "ACTIVE", ~exists().where(partner_members.c.partner_id == partners.c.id)
            ),
        ),
    ]


_QUERIES = [*_of_accounts(), *_of_notifications(), *_of_sellers()]
