"""Pictures of people in the graph; users' schema mixes this in."""

from __future__ import annotations

from datetime import datetime

import strawberry

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import global_id
from subgraphs.users.service import avatars
from subgraphs.users.types import Info, UserError, errors_of


@strawberry.type(description="Send the file there, by this method, with its content type as header.")
class AvatarUpload:
    id: strawberry.ID
    url: str
    method: str
    expires_at: datetime


@strawberry.type
class AvatarUploadPayload:
    upload: AvatarUpload | None
    user_errors: list[UserError]


@strawberry.type
class AvatarMutation:
    """Part of Mutation."""

    @strawberry.federation.mutation(
        authenticated=True,
        description="An address to upload a picture of yourself to (JPEG, PNG or WebP, at most 5 MB; the square in its "
        "middle is shown). Name the upload in `accountUpdate` within a day, or it is deleted.",
    )
    async def avatar_upload_create(self, info: Info, content_type: str, size: int) -> AvatarUploadPayload:
        context = info.context
        try:
            made = await avatars.ask_to_upload(context.avatars, context.identity, content_type, size)
        except (Rejected, RejectedTogether) as refused:
            return AvatarUploadPayload(upload=None, user_errors=errors_of(refused))
        upload = AvatarUpload(
            id=strawberry.ID(global_id("AvatarUpload", made.id)),
            url=made.target.url,
            method=made.target.method,
            expires_at=made.target.expires_at,
        )
        return AvatarUploadPayload(upload=upload, user_errors=[])
