"""Changing a password, and resetting a forgotten one."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.users import domain, letters, mail
from subgraphs.users.common_passwords import COMMON_PASSWORDS
from subgraphs.users.models import AnyRow, users
from subgraphs.users.service import throttling, tokens
from subgraphs.users.service.accounts import confirm_email, mail_if_known
from subgraphs.users.service.deps import Deps, Device
from subgraphs.users.service.sessions import (
    Opened,
    Tokens,
    end_sessions,
    open_session,
    require_alive,
    tell_ended,
    tokens_of,
)


async def change(deps: Deps, identity: Identity, current: str, new: str) -> str:
    """A new password; every other session ends. The user's id.

    Raises Rejected INVALID_CREDENTIALS, PASSWORD_TOO_WEAK or RATE_LIMITED.
    """
    user_id = identity.require_user()
    tries = ("password", user_id)
    await throttling.take_try(deps.database, domain.LOGIN, tries, deps.now())
    row = await _user(deps, user_id)
    if not await deps.passwords.verify(row.password_hash, domain.normalize_password(current)):
        raise Rejected("INVALID_CREDENTIALS", "The current password is wrong.", ["currentPassword"])
    hashed = await deps.passwords.hash(_strong(new, row.email))

    async def work(tx: AsyncConnection) -> list[str]:
        await require_alive(tx, identity)
        unchanged = update(users).where(users.c.id == user_id, users.c.password_hash == row.password_hash)
        if (await tx.execute(unchanged.values(password_hash=hashed))).rowcount != 1:
            raise Rejected("INVALID_CREDENTIALS", "The password was changed meanwhile.", ["currentPassword"])
        await throttling.forget(tx, tries)
        await _tell_changed(tx, deps, row)
        return await end_sessions(tx, user_id, deps.now(), keep=identity.session_id)

    await tell_ended(deps, await deps.database.run(work))
    deps.wake()
    return user_id


async def request_reset(deps: Deps, email: str, device: Device) -> None:
    """E-mail a link, if the address has an account; no difference is shown. Raises Rejected INVALID or RATE_LIMITED."""

    async def send(tx: AsyncConnection, row: AnyRow) -> None:
        secret = await tokens.issue(tx, tokens.RESET_PASSWORD, row.id, deps.now(), deps.settings.reset_life)
        link = f"{deps.settings.public_url}/reset-password?token={secret}"
        letter = letters.account_letter("RESET_PASSWORD", row.locale, link=link)
        await mail.queue(tx, [mail.Draft("RESET_PASSWORD", row.email, letter)], deps.now())

    await mail_if_known(deps, email, device, "reset", send)


async def reset(deps: Deps, secret: str, new: str, device: Device) -> Tokens:
    """A new password by the link of an e-mail: every session ends, a new one begins. A weak password leaves the link
    usable.

    Raises Rejected TOKEN_INVALID, TOKEN_EXPIRED or PASSWORD_TOO_WEAK.
    """
    async with deps.database.read() as connection:
        user_id = await tokens.owner_of(connection, tokens.RESET_PASSWORD, secret, deps.now())
    row = await _user(deps, user_id)
    hashed = await deps.passwords.hash(_strong(new, row.email))

    async def work(tx: AsyncConnection) -> tuple[Opened, list[str]]:
        await tokens.redeem(tx, tokens.RESET_PASSWORD, secret, deps.now())
        await tx.execute(update(users).where(users.c.id == user_id).values(password_hash=hashed))
        await confirm_email(tx, user_id, deps.now())
        ended = await end_sessions(tx, user_id, deps.now())
        await _tell_changed(tx, deps, row)
        return await open_session(tx, deps, user_id, device), ended

    opened, ended = await deps.database.run(work)
    await tell_ended(deps, ended)
    deps.wake()
    return await tokens_of(deps, opened)


def _strong(password: str, email: str | None) -> str:
    try:
        return domain.check_password(password, email=email or "", common=COMMON_PASSWORDS)
    except domain.Invalid as invalid:
        raise Rejected("PASSWORD_TOO_WEAK", str(invalid), ["newPassword"]) from None


async def _tell_changed(tx: AsyncConnection, deps: Deps, row: AnyRow) -> None:
    letter = letters.account_letter("PASSWORD_CHANGED", row.locale)
    await mail.queue(tx, [mail.Draft("PASSWORD_CHANGED", row.email, letter)], deps.now())


async def _user(deps: Deps, user_id: str) -> AnyRow:
    async with deps.database.read() as connection:
        row = (await connection.execute(select(users).where(users.c.id == user_id))).one_or_none()
    if row is None or row.deleted_at is not None:
        raise Rejected("NOT_FOUND", "This account does not exist any more.")
    return row
