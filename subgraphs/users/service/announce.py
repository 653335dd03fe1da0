"""Tell the other subgraphs what users and sellers are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.events.users import PartnerChanged, PayoutAccountChanged, UserChanged
from messaging.outbox import record
from subgraphs.users.models import applications, outbox, partner_members, partners, users
from subgraphs.users.service.deps import SOURCE


async def announce_users(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """Record UserChanged of these users as they are in this transaction."""
    rows = (await tx.execute(select(users).where(users.c.id.in_(ids)).order_by(users.c.id))).all()
    events = [
        UserChanged(
            user_id=row.id,
            version=row.version,
            display_name=row.display_name,
            avatar_url=row.avatar_url,
            email_verified=row.email_verified_at is not None,
            deleted=row.deleted_at is not None,
        )
        for row in rows
    ]
    await record(tx, outbox, SOURCE, events)


async def announce_partners(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """Record PartnerChanged of these sellers, with their members, as they are in this transaction."""
    members: dict[str, list[str]] = defaultdict(list)
    query = select(partner_members).where(partner_members.c.partner_id.in_(ids)).order_by(partner_members.c.user_id)
    for row in await tx.execute(query):
        members[row.partner_id].append(row.user_id)
    rows = (await tx.execute(select(partners).where(partners.c.id.in_(ids)).order_by(partners.c.id))).all()
    events = [
        PartnerChanged(
            partner_id=row.id,
            version=row.version,
            slug=row.slug,
            name=row.name,
            status=row.status,
            member_ids=tuple(members[row.id]),
        )
        for row in rows
    ]
    await record(tx, outbox, SOURCE, events)


async def announce_accounts(tx: AsyncConnection, partner_ids: Sequence[str]) -> None:
    """Record PayoutAccountChanged of these sellers, as they told it when they applied."""
    query = select(applications).where(applications.c.partner_id.in_(partner_ids)).order_by(applications.c.id)
    for row in await tx.execute(query):
        await announce_account(tx, row.partner_id, row.bank_code, row.bank_account_number, row.representative_name)


async def announce_account(
    tx: AsyncConnection, partner_id: str, bank_code: str, account_number: str, holder_name: str
) -> None:
    """Record PayoutAccountChanged: where the seller is paid to."""
    account = PayoutAccountChanged(
        partner_id=partner_id,
        version=1,
        bank_code=bank_code,
        bank_account_number=account_number,
        holder_name=holder_name,
    )
    await record(tx, outbox, SOURCE, [account])
