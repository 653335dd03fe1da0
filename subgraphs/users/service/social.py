"""Logging in, joining and linking by an account at Naver or Kakao."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db import vault
from db.statements import insert_ignore
from subgraphs.kit.errors import Rejected, Unavailable
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid
from subgraphs.users import domain
from subgraphs.users.models import AnyRow, email_index, social_accounts, social_attempts, user_roles, users
from subgraphs.users.service import throttling
from subgraphs.users.service.accounts import blank_account, send_verification
from subgraphs.users.service.announce import announce_users
from subgraphs.users.service.deps import Deps, Device
from subgraphs.users.service.sessions import Opened, Tokens, open_session, require_alive, tokens_of
from subgraphs.users.service.tokens import hash_secret, new_secret
from subgraphs.users.social import Attempt, Person, Provider, Refused, Unreachable

log = structlog.get_logger()

NAMELESS = "회원"


async def begin(deps: Deps, identity: Identity, provider: str, redirect_uri: str, device: Device) -> str:
    """Where to send the browser. Whoever is logged in now will link the account that he logs in with there.

    Raises Rejected INVALID for a provider that is not set up or an address that is not ours, and RATE_LIMITED.
    """
    chosen = _provider(deps, provider)
    if redirect_uri not in deps.settings.redirect_uris():
        raise Rejected("INVALID", "People are not sent back to this address.", ["redirectUri"])
    now = deps.now()
    await throttling.take_try(deps.database, domain.SOCIAL_ATTEMPTS, ("social", device.ip), now)
    attempt = Attempt(redirect_uri, new_secret(), new_secret(), new_secret())
    row = {
        "state_hash": hash_secret(attempt.state),
        "provider": provider,
        "redirect_uri": redirect_uri,
        "verifier": attempt.verifier,
        "nonce": attempt.nonce,
        "user_id": identity.user_id,
        "expires_at": now + deps.settings.social_attempt_life,
    }

    async def work(tx: AsyncConnection) -> None:
        if identity.user_id is not None:
            await require_alive(tx, identity)
        await tx.execute(insert(social_attempts), [row])

    await deps.database.run(work)
    return chosen.authorization_url(attempt)


async def finish(deps: Deps, identity: Identity, provider: str, code: str, state: str, device: Device) -> Tokens:
    """Log in with what the provider sent the browser back with; a newcomer joins. A state works once.

    Raises Rejected TOKEN_INVALID, TOKEN_EXPIRED (the state), INVALID_CREDENTIALS (the code), UNIQUE (a member has the
    e-mail address: he links the account himself, logged in), SOCIAL_ALREADY_LINKED; Unavailable.
    """
    chosen = _provider(deps, provider)
    row = await deps.database.run(lambda tx: _take_attempt(tx, state))
    if row is None or row.provider != provider or (row.user_id and row.user_id != identity.user_id):
        raise Rejected("TOKEN_INVALID", "This log-in was not begun here, or was used already.", ["state"])
    if row.expires_at <= deps.now():
        raise Rejected("TOKEN_EXPIRED", "This log-in took too long. Begin again.", ["state"])
    person = await _person(chosen, code, Attempt(row.redirect_uri, state, row.verifier, row.nonce))
    subject = subject_index(provider, person.subject)

    async def work(tx: AsyncConnection) -> Opened:
        if row.user_id:
            await require_alive(tx, identity)
            await _link(tx, row.user_id, provider, subject, deps.now())
            return await open_session(tx, deps, row.user_id, device)
        linked = select(social_accounts.c.user_id).where(social_accounts.c.subject_index == subject)
        user_id = (await tx.execute(linked)).scalar() or await _join(tx, deps, provider, subject, person)
        return await open_session(tx, deps, user_id, device)

    opened = await deps.database.run(work)
    deps.wake()
    return await tokens_of(deps, opened)


def subject_index(provider: str, subject: str) -> str:
    """What finds a provider's person here; the provider's own id is not kept."""
    return vault.ring().index(f"{provider}:{subject}", "users.social")


def _provider(deps: Deps, name: str) -> Provider:
    if name not in deps.social:
        raise Rejected("INVALID", f"Log-in with {name} is not offered here.", ["provider"])
    return deps.social[name]


async def _take_attempt(tx: AsyncConnection, state: str) -> AnyRow | None:
    mine = social_attempts.c.state_hash == hash_secret(state)
    row = (await tx.execute(select(social_attempts).where(mine))).one_or_none()
    # Whoever deletes it has it: the same state twice at one moment logs in once.
    return row if (await tx.execute(delete(social_attempts).where(mine))).rowcount == 1 else None


async def _person(provider: Provider, code: str, attempt: Attempt) -> Person:
    try:
        return await provider.person(code, attempt)
    except Refused as error:
        log.info("social.refused", reason=str(error))
        raise Rejected("INVALID_CREDENTIALS", "The provider does not confirm this log-in.", ["code"]) from error
    except Unreachable as error:
        log.warning("social.unreachable", reason=str(error))
        raise Unavailable("The provider does not answer. Try again, or log in another way.") from error


async def _link(tx: AsyncConnection, user_id: str, provider: str, subject: str, now: datetime) -> None:
    row = {"subject_index": subject, "provider": provider, "user_id": user_id, "linked_at": now}
    await insert_ignore(tx, social_accounts, [row])
    theirs = select(social_accounts).where(social_accounts.c.subject_index == subject)
    held = (await tx.execute(theirs)).one_or_none()
    if held is None:
        raise Rejected("SOCIAL_ALREADY_LINKED", "Another account of this provider is linked to yours.")
    if held.user_id != user_id:
        raise Rejected("SOCIAL_ALREADY_LINKED", "This account is linked to another member.")


async def _join(tx: AsyncConnection, deps: Deps, provider: str, subject: str, person: Person) -> str:
    """A new member. An address that the provider does not vouch for is confirmed by a letter, as any other."""
    row = _newcomer(deps, person)
    await insert_ignore(tx, users, [row])
    if (await tx.execute(select(users.c.id).where(users.c.id == row["id"]))).one_or_none() is None:
        if person.email_verified:
            raise Rejected("UNIQUE", "A member has this e-mail address. Log in and link the account.", ["email"])
        # Somebody's address that this person has not shown to own: not a word about it, and no account without his.
        row |= {"email": None, "email_index": None}
        await tx.execute(insert(users), [row])
    roles = [domain.Role.CUSTOMER] + ([domain.Role.CREATOR] if row["email_verified_at"] else [])
    await tx.execute(insert(user_roles), [{"user_id": row["id"], "role": role.value} for role in roles])
    await _link(tx, row["id"], provider, subject, deps.now())
    if row["email"] and not row["email_verified_at"]:
        await send_verification(tx, deps, row["id"], row["email"], row["locale"])
    await announce_users(tx, [row["id"]])
    return str(row["id"])


def _newcomer(deps: Deps, person: Person) -> dict[str, Any]:
    name, email = NAMELESS, None
    try:
        name = domain.clean_text(person.name or "", what="A name", limit=domain.MAX_NAME)
    except domain.Invalid:
        log.info("social.no_name")
    try:
        email = domain.clean_email(person.email) if person.email else None
    except domain.Invalid:
        log.info("social.no_email")
    verified = deps.now() if email and person.email_verified else None
    return blank_account(deps.now()) | {
        "id": new_ulid(),
        "email": email,
        "email_index": email_index(email) if email else None,
        "name": name,
        "display_name": domain.mask_name(name),
        "email_verified_at": verified,
    }


async def prune(tx: AsyncConnection, now: datetime) -> None:
    """Forget log-ins that were begun and not finished."""
    await tx.execute(delete(social_attempts).where(social_attempts.c.expires_at < now))
