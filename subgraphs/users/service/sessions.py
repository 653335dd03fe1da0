"""Log-in, refresh and log-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import AccessDenied, Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.users import domain
from subgraphs.users.models import email_index, refresh_tokens, sessions, user_roles, users
from subgraphs.users.service import throttling
from subgraphs.users.service.deps import Deps, Device
from subgraphs.users.service.tokens import hash_secret, new_secret

SESSION_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session as its transaction made or renewed it."""

    user_id: str
    session_id: str
    refresh_token: str
    roles: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client keeps. ``expires_at``: of the access token."""

    access_token: str
    refresh_token: str
    expires_at: datetime
    user_id: str
    session_id: str


class _Reused:
    """A refresh token came twice: its session was ended, which must be committed before the caller is refused."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id


async def log_in(deps: Deps, email: str, password: str, device: Device) -> Tokens:
    """Raises Rejected INVALID_CREDENTIALS (whatever of the two is wrong) or RATE_LIMITED."""
    try:
        cleaned = domain.clean_email(email)
    except domain.Invalid:
        cleaned = email[: domain.MAX_EMAIL].lower()
    tries = ("log-in", device.ip, cleaned)
    await throttling.take_try(deps.database, domain.LOGIN, tries, deps.now())
    async with deps.database.read() as connection:
        theirs = select(users).where(users.c.email_index == email_index(cleaned))
        found = (await connection.execute(theirs)).one_or_none()
    known = found.password_hash if found else None
    typed = domain.normalize_password(password[: 4 * domain.MAX_PASSWORD])
    if not await deps.passwords.verify(known, typed) or found is None or known is None:
        raise Rejected("INVALID_CREDENTIALS", "The e-mail or the password is wrong.")
    better = await deps.passwords.hash(typed) if deps.passwords.is_outdated(known) else known

    async def work(tx: AsyncConnection) -> Opened:
        # Conditional: between the check above and here the password may have been changed.
        unchanged = update(users).where(users.c.id == found.id, users.c.password_hash == known)
        if (await tx.execute(unchanged.values(password_hash=better))).rowcount != 1:
            raise Rejected("INVALID_CREDENTIALS", "The e-mail or the password is wrong.")
        await throttling.forget(tx, tries)
        return await open_session(tx, deps, found.id, device)

    return await tokens_of(deps, await deps.database.run(work))


async def open_session(tx: AsyncConnection, deps: Deps, user_id: str, device: Device) -> Opened:
    """A new session with its first refresh token."""
    now = deps.now()
    session_id, ends = new_ulid(), now + deps.settings.session_life
    row = {
        "id": session_id,
        "user_id": user_id,
        "device_name": device.name,
        "ip_address": device.ip,
        "created_at": now,
        "last_used_at": now,
        "expires_at": ends,
        "revoked_at": None,
    }
    await tx.execute(insert(sessions), [row])
    secret = await _new_refresh_token(tx, deps, session_id, ends)
    return Opened(user_id, session_id, secret, await _roles(tx, user_id))


async def tokens_of(deps: Deps, opened: Opened) -> Tokens:
    """The tokens of a session, after its commit."""
    now = deps.now()
    expires_at = now + deps.settings.access_token_life
    claims = {
        "sub": opened.user_id,
        "sid": opened.session_id,
        "roles": list(opened.roles),
        "scopes": domain.scopes_of(opened.roles),
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    access = await deps.keys.sign(claims)
    return Tokens(access, opened.refresh_token, expires_at, opened.user_id, opened.session_id)


async def refresh(deps: Deps, refresh_token: str, device: Device) -> Tokens:
    """New tokens for a refresh token, which is used up. Used a second time it ends its session.

    Raises Rejected TOKEN_INVALID or TOKEN_EXPIRED.
    """
    outcome = await deps.database.run(lambda tx: _rotate(tx, deps, hash_secret(refresh_token), device))
    if isinstance(outcome, _Reused):
        await deps.changes.tell(f"session:{outcome.session_id}")
        raise Rejected("TOKEN_INVALID", "This token was used already. Log in again.", ["refreshToken"])
    return await tokens_of(deps, outcome)


async def _rotate(tx: AsyncConnection, deps: Deps, token_hash: str, device: Device) -> Opened | _Reused:
    now = deps.now()
    unused = update(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_(None))
    first_use = (await tx.execute(unused.values(used_at=now))).rowcount == 1
    family = refresh_tokens.join(sessions, sessions.c.id == refresh_tokens.c.session_id)
    query = select(
        sessions.c.id,
        sessions.c.user_id,
        sessions.c.revoked_at,
        sessions.c.expires_at.label("session_expires_at"),
        refresh_tokens.c.expires_at,
    )
    row = (await tx.execute(query.select_from(family).where(refresh_tokens.c.token_hash == token_hash))).one_or_none()
    if row is None:
        raise Rejected("TOKEN_INVALID", "This token is not valid. Log in again.", ["refreshToken"])
    if not first_use:
        await _revoke(tx, [row.id], now)
        return _Reused(row.id)
    if row.revoked_at is not None:
        raise Rejected("TOKEN_INVALID", "This session has ended. Log in again.", ["refreshToken"])
    if min(row.expires_at, row.session_expires_at) <= now:
        raise Rejected("TOKEN_EXPIRED", "This session has expired. Log in again.", ["refreshToken"])
    alive = update(sessions).where(sessions.c.id == row.id, sessions.c.revoked_at.is_(None))
    if (await tx.execute(alive.values(last_used_at=now, ip_address=device.ip))).rowcount != 1:
        raise Rejected("TOKEN_INVALID", "This session has ended. Log in again.", ["refreshToken"])
    secret = await _new_refresh_token(tx, deps, row.id, row.session_expires_at)
    return Opened(row.user_id, row.id, secret, await _roles(tx, row.user_id))


async def _new_refresh_token(tx: AsyncConnection, deps: Deps, session_id: str, session_end: datetime) -> str:
    now, secret = deps.now(), new_secret()
    row = {
        "token_hash": hash_secret(secret),
        "session_id": session_id,
        "created_at": now,
        "expires_at": min(now + deps.settings.refresh_token_life, session_end),
        "used_at": None,
    }
    await tx.execute(insert(refresh_tokens), [row])
    return secret


async def revoke(deps: Deps, identity: Identity, session_id: str | None) -> None:
    """Log out one session of the caller, the present one by default; doing it again is nothing.

    Raises Rejected NOT_FOUND for a session that is not the caller's.
    """
    user_id = identity.require_user()
    wanted = session_id or identity.session_id
    if wanted is None:
        raise Rejected("NOT_FOUND", "Which session?", ["id"])

    async def work(tx: AsyncConnection) -> None:
        mine = select(sessions.c.id).where(sessions.c.id == wanted, sessions.c.user_id == user_id)
        if (await tx.execute(mine)).one_or_none() is None:
            raise Rejected("NOT_FOUND", "No session has this id.", ["id"])
        await _revoke(tx, [wanted], deps.now())

    await deps.database.run(work)
    await deps.changes.tell(f"session:{wanted}")


async def revoke_all(deps: Deps, identity: Identity, *, except_current: bool) -> None:
    """Log the caller out on all devices."""
    user_id = identity.require_user()
    keep = identity.session_id if except_current else None
    ended = await deps.database.run(lambda tx: end_sessions(tx, user_id, deps.now(), keep=keep))
    await tell_ended(deps, ended)


async def end_sessions(tx: AsyncConnection, user_id: str, now: datetime, *, keep: str | None = None) -> list[str]:
    """End a user's sessions, except ``keep``; which ended. After the commit ``tell_ended``."""
    alive = select(sessions.c.id).where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None))
    ids = [id for id in (await tx.execute(alive)).scalars() if id != keep]
    await _revoke(tx, ids, now)
    return ids


async def tell_ended(deps: Deps, session_ids: Sequence[str]) -> None:
    """Let live subscriptions of these sessions end."""
    for session_id in session_ids:
        await deps.changes.tell(f"session:{session_id}")


async def require_alive(tx: AsyncConnection, identity: Identity) -> str:
    """The caller's id, if the session has not been ended since its access token was signed.

    Raises AccessDenied UNAUTHENTICATED otherwise.
    """
    user_id = identity.require_user()
    query = select(sessions.c.id).where(sessions.c.id == identity.session_id, sessions.c.revoked_at.is_(None))
    if identity.session_id is not None and (await tx.execute(query)).one_or_none() is None:
        raise AccessDenied("UNAUTHENTICATED", "This session has ended. Log in again.")
    return user_id


async def _revoke(tx: AsyncConnection, ids: Sequence[str], now: datetime) -> None:
    if ids:
        alive = update(sessions).where(sessions.c.id.in_(ids), sessions.c.revoked_at.is_(None))
        await tx.execute(alive.values(revoked_at=now))


async def _roles(tx: AsyncConnection, user_id: str) -> Sequence[str]:
    query = select(user_roles.c.role).where(user_roles.c.user_id == user_id).order_by(user_roles.c.role)
    return (await tx.execute(query)).scalars().all()


async def prune(tx: AsyncConnection, now: datetime) -> None:
    """Delete sessions (with their tokens) that ended or expired longer ago than any token lives."""
    old = now - SESSION_KEPT
    gone = or_(sessions.c.expires_at < old, sessions.c.revoked_at < old)
    ids = (await tx.execute(select(sessions.c.id).where(gone).limit(500))).scalars().all()
    if ids:
        await tx.execute(delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(ids)))
        await tx.execute(delete(sessions).where(sessions.c.id.in_(ids)))
