"""Withdrawing an account: what must end first, and what is erased."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.identity import Identity
from subgraphs.users import domain
from subgraphs.users.models import (
    applications,
    deliveries,
    engagements,
    mails,
    notifications,
    one_time_tokens,
    partner_members,
    partners,
    preferences,
    sessions,
    social_accounts,
    social_attempts,
    terms_agreements,
    text_messages,
    user_roles,
    users,
    waiting_notices,
)
from subgraphs.users.service import avatars, throttling
from subgraphs.users.service.announce import announce_partners, announce_users
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.sessions import end_sessions, require_alive, tell_ended

MAX_REASON = 500


async def withdraw(deps: Deps, identity: Identity, password: str | None, reason: str | None) -> str:
    """End the caller's account and erase what is personal; the user's id.

    Raises Rejected INVALID_CREDENTIALS, RATE_LIMITED, or RejectedTogether NOT_ALLOWED with everything in the way.
    """
    user_id = identity.require_user()
    tries = ("withdraw", user_id)
    await throttling.take_try(deps.database, domain.LOGIN, tries, deps.now())
    async with deps.database.read() as connection:
        known = (await connection.execute(select(users.c.password_hash).where(users.c.id == user_id))).scalar()
    if known and not await deps.passwords.verify(known, domain.normalize_password(password or "")):
        raise Rejected("INVALID_CREDENTIALS", "The password is wrong.", ["password"])

    async def work(tx: AsyncConnection) -> list[str]:
        await require_alive(tx, identity)
        await tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
        if obstacles := await _obstacles(tx, user_id):
            raise RejectedTogether(obstacles)
        await throttling.forget(tx, tries)
        await _erase(tx, user_id, (reason or "").strip()[:MAX_REASON] or None, deps.now())
        await announce_users(tx, [user_id])
        return await end_sessions(tx, user_id, deps.now())

    await tell_ended(deps, await deps.database.run(work))
    deps.wake()
    return user_id


async def _obstacles(tx: AsyncConnection, user_id: str) -> list[Rejected]:
    """What must end first, as far as is known here."""
    query = select(engagements).where(engagements.c.user_id == user_id, engagements.c.closed.is_(False))
    found = [
        Rejected("NOT_ALLOWED", f"{row.kind} {row.label or row.id} has not ended yet.", [row.kind.lower()])
        for row in await tx.execute(query.order_by(engagements.c.id).limit(20))
    ]
    seller = select(partners.c.name, partners.c.id).join(partner_members).where(partner_members.c.user_id == user_id)
    # Held: of the last two members who withdraw at one moment, the second is the only one left.
    theirs = seller.where(partners.c.status != "CLOSED").with_for_update(of=partners)
    row = (await tx.execute(theirs)).one_or_none()
    if row is not None:
        others = select(func.count()).select_from(partner_members).where(partner_members.c.partner_id == row.id)
        if (await tx.execute(others)).scalar_one() == 1:
            found.append(Rejected("NOT_ALLOWED", f"You are the only member of the seller {row.name}.", ["partner"]))
    return found


async def _erase(tx: AsyncConnection, user_id: str, reason: str | None, now: datetime) -> None:
    address = (await tx.execute(select(users.c.email_index).where(users.c.id == user_id))).scalar()
    mine = select(notifications.c.id).where(notifications.c.recipient_id == user_id)
    theirs = deliveries.c.notification_id.in_(mine)
    texts = list(
        (await tx.execute(select(deliveries.c.text_id).where(theirs, deliveries.c.text_id.is_not(None)))).scalars()
    )
    await tx.execute(delete(deliveries).where(theirs))
    await tx.execute(delete(text_messages).where(text_messages.c.id.in_(texts)))
    await tx.execute(delete(notifications).where(notifications.c.recipient_id == user_id))
    await tx.execute(delete(mails).where(mails.c.recipient_index == address))
    await _leave_seller(tx, user_id)
    for table in (one_time_tokens, social_accounts, social_attempts, preferences, user_roles, terms_agreements):
        await tx.execute(delete(table).where(table.c.user_id == user_id))
    await avatars.forget(tx, user_id)
    owned = select(engagements.c.id).where(engagements.c.user_id == user_id)
    await tx.execute(delete(waiting_notices).where(waiting_notices.c.engagement_id.in_(owned)))
    await tx.execute(update(sessions).where(sessions.c.user_id == user_id).values(ip_address=None, device_name=None))
    await _erase_applications(tx, user_id, now)
    anonymous = {
        "email": None,
        "email_index": None,
        "name": None,
        "phone": None,
        "phone_index": None,
        "display_name": "탈퇴한 회원",
        "avatar_url": None,
        "password_hash": None,
        "email_verified_at": None,
        "deleted_at": now,
        "deletion_reason": reason,
    }
    await tx.execute(update(users).where(users.c.id == user_id).values(**anonymous, version=users.c.version + 1))


async def _leave_seller(tx: AsyncConnection, user_id: str) -> None:
    """The user works for no seller any more; whoever has a copy of the members is told."""
    mine = partner_members.c.user_id == user_id
    seller = (await tx.execute(select(partner_members.c.partner_id).where(mine))).scalar()
    if seller is not None:
        await tx.execute(delete(partner_members).where(mine))
        await tx.execute(update(partners).where(partners.c.id == seller).values(version=partners.c.version + 1))
        await announce_partners(tx, [seller])


async def _erase_applications(tx: AsyncConnection, user_id: str, now: datetime) -> None:
    """End what is undecided, and forget who applied. What became a seller stays: the seller is paid by it."""
    undecided = applications.c.status != "APPROVED"
    ended = {
        "status": "REJECTED",
        "rejection_reason": "The applicant withdrew.",
        "reviewed_at": now,
        "live_applicant_id": None,
        "live_business_number": None,
    }
    await tx.execute(update(applications).where(applications.c.live_applicant_id == user_id, undecided).values(**ended))
    sold_nothing = update(applications).where(
        applications.c.applicant_id == user_id, applications.c.partner_id.is_(None)
    )
    await tx.execute(sold_nothing.values(representative_name="", contact_phone="", bank_account_number=""))
