"""What mutations answer: the outcome of a use case, or the reasons of its refusal."""

from __future__ import annotations

from collections.abc import Awaitable

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.users.loaders import Context
from subgraphs.users.service.sessions import Tokens
from subgraphs.users.types import (
    AccountPayload,
    AuthPayload,
    AuthTokens,
    PartnerApplicationPayload,
    application_of,
    errors_of,
    session_of,
    user_of,
)


async def account_payload(context: Context, work: Awaitable[str | None]) -> AccountPayload:
    """The user that ``work`` names, or why it was refused."""
    try:
        user_id = await work
    except (Rejected, RejectedTogether) as refused:
        return AccountPayload(user=None, user_errors=errors_of(refused))
    row = user_id and await context.loaders.user.load(user_id)
    return AccountPayload(user=user_of(row, context, own=True) if row else None, user_errors=[])


async def auth_payload(context: Context, work: Awaitable[Tokens]) -> AuthPayload:
    """The tokens that ``work`` makes, or why it was refused."""
    try:
        made = await work
    except (Rejected, RejectedTogether) as refused:
        return AuthPayload(tokens=None, user_errors=errors_of(refused))
    user = await context.loaders.user.load(made.user_id)
    session = await context.loaders.session.load(made.session_id)
    tokens = AuthTokens(
        access_token=made.access_token,
        refresh_token=made.refresh_token,
        expires_at=made.expires_at,
        user=user_of(user, context, own=True),
        session=session_of(session, context, current=True),
    )
    return AuthPayload(tokens=tokens, user_errors=[])


async def application_payload(context: Context, work: Awaitable[str]) -> PartnerApplicationPayload:
    """The application that ``work`` names, or why it was refused."""
    try:
        id = await work
    except (Rejected, RejectedTogether) as refused:
        return PartnerApplicationPayload(application=None, user_errors=errors_of(refused))
    row = await context.loaders.application.load(id)
    return PartnerApplicationPayload(application=application_of(row), user_errors=[])
