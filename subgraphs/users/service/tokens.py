"""Secrets that are handed out once and kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.users.models import one_time_tokens

VERIFY_EMAIL = "VERIFY_EMAIL"
RESET_PASSWORD = "RESET_PASSWORD"


def new_secret() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """What is kept of it. A fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def issue(
    tx: AsyncConnection, purpose: str, user_id: str, now: datetime, life: timedelta, *, address: str | None = None
) -> str:
    """A new token; earlier ones of the same purpose stop working. ``address`` comes back when it is redeemed."""
    table = one_time_tokens
    await tx.execute(delete(table).where(table.c.user_id == user_id, table.c.purpose == purpose))
    secret = new_secret()
    row = {
        "token_hash": hash_secret(secret),
        "purpose": purpose,
        "user_id": user_id,
        "expires_at": now + life,
        "address": address,
    }
    await tx.execute(insert(table), [row])
    return secret


async def owner_of(tx: AsyncConnection, purpose: str, secret: str, now: datetime) -> str:
    """Whose token it is. Raises Rejected TOKEN_INVALID (unknown, used) or TOKEN_EXPIRED."""
    table = one_time_tokens
    query = select(table).where(table.c.token_hash == hash_secret(secret), table.c.purpose == purpose)
    row = (await tx.execute(query)).one_or_none()
    if row is None or row.used_at is not None:
        raise Rejected("TOKEN_INVALID", "This link is not valid, or was used already.", ["token"])
    if row.expires_at <= now:
        raise Rejected("TOKEN_EXPIRED", "This link has expired. Ask for a new one.", ["token"])
    return str(row.user_id)


async def redeem(tx: AsyncConnection, purpose: str, secret: str, now: datetime) -> tuple[str, str | None]:
    """Use a token up; whose it was, and the address it was issued with. Raises Rejected as ``owner_of`` does."""
    user_id = await owner_of(tx, purpose, secret, now)
    table = one_time_tokens
    address = (await tx.execute(select(table.c.address).where(table.c.token_hash == hash_secret(secret)))).scalar()
    unused = update(table).where(table.c.token_hash == hash_secret(secret), table.c.used_at.is_(None))
    if (await tx.execute(unused.values(used_at=now))).rowcount != 1:
        raise Rejected("TOKEN_INVALID", "This link was used already.", ["token"])
    return user_id, address


async def prune(tx: AsyncConnection, now: datetime) -> None:
    """Delete tokens that expired more than a week ago; until then a late click is told that it is late."""
    await tx.execute(delete(one_time_tokens).where(one_time_tokens.c.expires_at < now - timedelta(days=7)))
