"""Uploads in the graph; products' schema mixes this in."""

from __future__ import annotations

from datetime import datetime

import strawberry

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.kit.ids import global_id
from subgraphs.products.errors import UserError, errors_of
from subgraphs.products.media.uploads import WRITE_SCOPE
from subgraphs.products.types import Info


@strawberry.type(description="Send the file there, by this method, with its content type as header.")
class MediaUpload:
    id: strawberry.ID
    url: str
    method: str
    expires_at: datetime


@strawberry.type
class MediaUploadPayload:
    upload: MediaUpload | None
    user_errors: list[UserError]


@strawberry.type
class MediaMutation:
    """Part of Mutation."""

    @strawberry.federation.mutation(
        requires_scopes=[[WRITE_SCOPE]],
        tags=["partner"],
        description="An address to upload a picture to (JPEG, PNG or WebP, at most 5 MB). Name the upload in "
        "`mediaUploadIds` of a product within a day, or it is deleted.",
    )
    async def media_upload_create(self, info: Info, content_type: str, size: int) -> MediaUploadPayload:
        context = info.context
        context.identity.require_scope(WRITE_SCOPE)
        seller = context.identity.require_user()
        try:
            made = await context.media.create(seller, content_type, size)
        except (Rejected, RejectedTogether) as refused:
            return MediaUploadPayload(upload=None, user_errors=errors_of(refused))
        upload = MediaUpload(
            id=strawberry.ID(global_id("MediaUpload", made.id)),
            url=made.target.url,
            method=made.target.method,
            expires_at=made.target.expires_at,
        )
        return MediaUploadPayload(upload=upload, user_errors=[])
