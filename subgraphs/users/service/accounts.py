"""Registering, confirming the e-mail address and changing an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.failpoints import failpoint
from db.statements import insert_ignore
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.users import domain, letters, mail
from subgraphs.users.common_passwords import COMMON_PASSWORDS
from subgraphs.users.models import AnyRow, email_index, phone_index, terms_agreements, user_roles, users
from subgraphs.users.service import avatars, throttling, tokens
from subgraphs.users.service.announce import announce_users
from subgraphs.users.service.checked import Checks
from subgraphs.users.service.deps import Deps, Device
from subgraphs.users.service.sessions import Tokens, open_session, require_alive, tokens_of

DEFAULT_LOCALE = "ko-KR"
DEFAULT_TIME_ZONE = "Asia/Seoul"
MAX_TERMS = 20


@dataclass(frozen=True, slots=True)
class Registration:
    """What a newcomer typed."""

    email: str
    password: str
    name: str
    phone: str | None
    display_name: str | None
    agreed_term_versions: Sequence[str]


async def register(deps: Deps, given: Registration) -> str:
    """A new account, its e-mail address to be confirmed; its id.

    Raises Rejected(Together): INVALID, REQUIRED, PASSWORD_TOO_WEAK, UNIQUE.
    """
    row, password, terms = _checked(deps, given)
    row["password_hash"] = await deps.passwords.hash(password)

    async def work(tx: AsyncConnection) -> None:
        await insert_ignore(tx, users, [row])
        holder = select(users.c.id).where(users.c.email_index == email_index(row["email"]))
        winner = (await tx.execute(holder)).scalar_one()
        if winner != row["id"]:
            raise Rejected("UNIQUE", "This e-mail address has an account already.", ["input", "email"])
        await tx.execute(insert(user_roles), [{"user_id": row["id"], "role": domain.Role.CUSTOMER.value}])
        agreed = [{"user_id": row["id"], "term_version": term, "agreed_at": row["created_at"]} for term in terms]
        await tx.execute(insert(terms_agreements), agreed)
        await send_verification(tx, deps, row["id"], row["email"], row["locale"])
        await announce_users(tx, [row["id"]])

    await deps.database.run(work)
    failpoint("users.register.after_commit")
    deps.wake()
    return str(row["id"])


def _checked(deps: Deps, given: Registration) -> tuple[dict[str, Any], str, list[str]]:
    checks, now = Checks(), deps.now()
    email = checks.value(lambda: domain.clean_email(given.email), ["input", "email"], "")
    name = checks.value(
        lambda: domain.clean_text(given.name, what="A name", limit=domain.MAX_NAME), ["input", "name"], ""
    )
    display_name = domain.mask_name(name) if name else ""
    if given.display_name is not None:
        display_name = checks.value(lambda: _display_name(given.display_name or ""), ["input", "displayName"], "")
    phone = given.phone and checks.value(lambda: domain.clean_phone(given.phone or ""), ["input", "phone"], "")
    password = checks.value(
        lambda: domain.check_password(given.password, email=email, common=COMMON_PASSWORDS),
        ["input", "password"],
        "",
        "PASSWORD_TOO_WEAK",
    )
    terms = sorted(set(given.agreed_term_versions))
    if not terms:
        checks.refuse("REQUIRED", "Agree to the terms.", ["input", "agreedTermVersions"])
    elif len(terms) > MAX_TERMS or not all(1 <= len(term) <= 64 and term.isprintable() for term in terms):
        checks.refuse("INVALID", "These are not versions of the terms.", ["input", "agreedTermVersions"])
    checks.done()
    row = blank_account(now) | {
        "id": new_ulid(),
        "email": email,
        "email_index": email_index(email),
        "name": name,
        "phone": phone or None,
        "phone_index": phone_index(phone) if phone else None,
        "display_name": display_name,
    }
    return row, password, terms


def blank_account(now: datetime) -> dict[str, Any]:
    """The row of an account of which nothing is known yet but when it was made."""
    return {
        "version": 1,
        "email": None,
        "email_index": None,
        "name": None,
        "phone": None,
        "phone_index": None,
        "avatar_url": None,
        "password_hash": None,
        "email_verified_at": None,
        "locale": DEFAULT_LOCALE,
        "time_zone": DEFAULT_TIME_ZONE,
        "created_at": now,
        "deleted_at": None,
        "deletion_reason": None,
    }


def _display_name(given: str) -> str:
    return domain.clean_text(given, what="A display name", limit=domain.MAX_DISPLAY_NAME)


async def send_verification(
    tx: AsyncConnection, deps: Deps, user_id: str, email: str, locale: str, *, becomes_theirs: bool = False
) -> None:
    """E-mail the link that confirms an address. ``becomes_theirs``: its user has none so far and gets this one."""
    life, given = deps.settings.verification_life, email if becomes_theirs else None
    secret = await tokens.issue(tx, tokens.VERIFY_EMAIL, user_id, deps.now(), life, address=given)
    link = f"{deps.settings.public_url}/verify-email?token={secret}"
    letter = letters.account_letter("VERIFY_EMAIL", locale, link=link)
    await mail.queue(tx, [mail.Draft("VERIFY_EMAIL", email, letter)], deps.now())


async def verify_email(deps: Deps, secret: str, device: Device) -> Tokens:
    """Confirm the address that the link was sent to, and log in. Raises Rejected TOKEN_INVALID or TOKEN_EXPIRED."""

    async def work(tx: AsyncConnection) -> Any:
        user_id, address = await tokens.redeem(tx, tokens.VERIFY_EMAIL, secret, deps.now())
        if address is not None:
            await _take_address(tx, user_id, address)
        await confirm_email(tx, user_id, deps.now())
        return await open_session(tx, deps, user_id, device)

    opened = await deps.database.run(work)
    deps.wake()
    return await tokens_of(deps, opened)


async def _take_address(tx: AsyncConnection, user_id: str, address: str) -> None:
    index = email_index(address)
    if (await tx.execute(select(users.c.id).where(users.c.email_index == index))).one_or_none() is not None:
        raise Rejected("TOKEN_INVALID", "This address has an account of its own by now.", ["token"])
    nobodys = update(users).where(users.c.id == user_id, users.c.email.is_(None), users.c.deleted_at.is_(None))
    if (await tx.execute(nobodys.values(email=address, email_index=index))).rowcount != 1:
        raise Rejected("TOKEN_INVALID", "This account has another address.", ["token"])


async def confirm_email(tx: AsyncConnection, user_id: str, now: datetime) -> None:
    """The user has shown that the address is his. A confirmed member may also open projects."""
    unconfirmed = update(users).where(users.c.id == user_id, users.c.email_verified_at.is_(None))
    changed = await tx.execute(unconfirmed.values(email_verified_at=now, version=users.c.version + 1))
    if changed.rowcount:
        await insert_ignore(tx, user_roles, [{"user_id": user_id, "role": domain.Role.CREATOR.value}])
        await announce_users(tx, [user_id])


async def resend_verification(deps: Deps, identity: Identity, email: str, device: Device) -> None:
    """A new link, if the address belongs to an account that is not confirmed; no difference is shown.

    To a caller who has no address (he joined by a provider that told none) the link gives this one.
    Raises Rejected INVALID or RATE_LIMITED.
    """

    async def send(tx: AsyncConnection, row: AnyRow) -> None:
        if row.email_verified_at is None:
            await send_verification(tx, deps, row.id, row.email, row.locale)

    async def give(tx: AsyncConnection, cleaned: str) -> None:
        caller = select(users).where(users.c.id == identity.user_id, users.c.deleted_at.is_(None))
        row = (await tx.execute(caller.where(users.c.email.is_(None)))).one_or_none()
        if row is not None:
            await require_alive(tx, identity)
            await send_verification(tx, deps, row.id, cleaned, row.locale, becomes_theirs=True)

    await mail_if_known(deps, email, device, "verification", send, give if identity.user_id else None)


async def recover_id(deps: Deps, email: str, device: Device) -> None:
    """E-mail the (masked) id to the address, if it has an account; no difference is shown.

    Raises Rejected INVALID or RATE_LIMITED.
    """

    async def send(tx: AsyncConnection, row: AnyRow) -> None:
        since = row.created_at.astimezone(ZoneInfo(row.time_zone)).date().isoformat()
        letter = letters.account_letter("RECOVER_ID", row.locale, masked=domain.mask_email(row.email), since=since)
        await mail.queue(tx, [mail.Draft("RECOVER_ID", row.email, letter)], deps.now())

    await mail_if_known(deps, email, device, "recover", send)


async def mail_if_known(
    deps: Deps, email: str, device: Device, what: str, send: Any, otherwise: Any | None = None
) -> None:
    """``send(tx, row)`` if the address has an account, else ``otherwise(tx, address)``; three times an hour for an
    address and a caller's network."""
    checks = Checks()
    cleaned = checks.value(lambda: domain.clean_email(email), ["email"], "")
    checks.done()
    await throttling.take_try(deps.database, domain.MAIL_REQUESTS, (what, device.ip, cleaned), deps.now())

    async def work(tx: AsyncConnection) -> None:
        row = (await tx.execute(select(users).where(users.c.email_index == email_index(cleaned)))).one_or_none()
        if row is not None:
            await send(tx, row)
        elif otherwise is not None:
            await otherwise(tx, cleaned)

    await deps.database.run(work)
    deps.wake()


async def change_account(
    deps: Deps,
    identity: Identity,
    *,
    name: str | None,
    phone: str | None,
    display_name: str | None,
    avatar: str | None = None,
    whose: str | None = None,
) -> str:
    """Change what is given; an empty phone or avatar removes it. The user's id.

    Raises Rejected(Together) INVALID, NOT_ALLOWED or NOT_FOUND. ``avatar``: the id of an upload that is prepared.
    ``whose``: whose account the caller means to change; it must be theirs.
    """
    if whose is not None and whose != identity.user_id:
        raise Rejected("NOT_ALLOWED", "This is another's account.", ["id"])
    checks = Checks()
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = checks.value(
            lambda: domain.clean_text(name, what="A name", limit=domain.MAX_NAME), ["name"], ""
        )
    if phone is not None:
        number = checks.value(lambda: domain.clean_phone(phone), ["phone"], "") if phone.strip() else None
        changes |= {"phone": number, "phone_index": phone_index(number) if number else None}
    if display_name is not None:
        changes["display_name"] = checks.value(lambda: _display_name(display_name), ["displayName"], "")
    checks.done()

    async def work(tx: AsyncConnection) -> str:
        user_id = await require_alive(tx, identity)
        shown = {} if avatar is None else {"avatar_url": await avatars.show(tx, user_id, avatar or None)}
        if changes or shown:
            alive = update(users).where(users.c.id == user_id, users.c.deleted_at.is_(None))
            done = await tx.execute(alive.values(**changes, **shown, version=users.c.version + 1))
            if done.rowcount != 1:
                raise Rejected("NOT_FOUND", "This account does not exist any more.")
            await announce_users(tx, [user_id])
        return user_id

    user_id = await deps.database.run(work)
    deps.wake()
    return user_id
