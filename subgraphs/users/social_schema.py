"""Log-in with Naver and Kakao in the graph."""

from __future__ import annotations

import strawberry

from subgraphs.users.enums import SocialProvider
from subgraphs.users.payloads import auth_payload
from subgraphs.users.service import social
from subgraphs.users.types import AuthPayload, Info


@strawberry.type
class SocialMutation:
    """Part of Mutation."""

    @strawberry.mutation(
        description="Where to send the browser. Keep the `state` of the address, and finish only what came back with "
        "it. Whoever is logged in links the account; anybody else logs in or joins."
    )
    async def social_authorization_url(self, info: Info, provider: SocialProvider, redirect_uri: str) -> str:
        context = info.context
        return await social.begin(context.deps, context.identity, provider.value, redirect_uri, context.device)

    @strawberry.mutation(description="Finish a log-in with what the provider sent the browser back with, once.")
    async def social_token_create(self, info: Info, provider: SocialProvider, code: str, state: str) -> AuthPayload:
        context = info.context
        work = social.finish(context.deps, context.identity, provider.value, code[:2000], state[:200], context.device)
        return await auth_payload(context, work)
