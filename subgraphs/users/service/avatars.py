"""The picture that a user shows of himself: only he sets it, and what he takes away is deleted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.media.store import MediaStore
from subgraphs.kit.media.uploads import NewUpload, Uploads, fit
from subgraphs.users.models import avatar_uploads, users
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.sessions import require_alive

FIELD = ("avatarUploadId",)
MAX_UNUSED = 10
SIDE = 512


def avatars(deps: Deps, store: MediaStore) -> Uploads:
    """Uploads of people's pictures, in this store."""
    return Uploads(deps.database, avatar_uploads, store, deps.now, field=FIELD, max_unused=MAX_UNUSED, side=SIDE)


async def ask_to_upload(uploads: Uploads, identity: Identity, content_type: str, size: int) -> NewUpload:
    """An address to send a picture to. Raises Rejected INVALID or NOT_ALLOWED."""

    async def alive(tx: AsyncConnection) -> None:
        await require_alive(tx, identity)

    return await uploads.create(identity.require_user(), content_type, size, alive)


async def show(tx: AsyncConnection, user_id: str, upload_id: str | None) -> str | None:
    """Show this upload as the user's picture and no other one (None: none at all); the picture's address.

    Raises Rejected NOT_FOUND.
    """
    # One change of a user's picture at a time.
    await tx.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
    row: Any = None
    if upload_id is not None:
        query = select(avatar_uploads).where(avatar_uploads.c.id == upload_id).with_for_update()
        row = (await tx.execute(query)).one_or_none()
        if not fit(row, user_id):
            raise Rejected("NOT_FOUND", "No upload of yours that is fit to be shown has this id.", FIELD)
    mine = update(avatar_uploads).where(avatar_uploads.c.owner_id == user_id)
    shown = avatar_uploads.c.status == "USED"
    if row is None:
        await tx.execute(mine.where(shown).values(status="DROPPED"))
        return None
    await tx.execute(mine.where(shown, avatar_uploads.c.id != row.id).values(status="DROPPED"))
    await tx.execute(mine.where(avatar_uploads.c.id == row.id).values(status="USED"))
    return str(row.url)


async def forget(tx: AsyncConnection, user_id: str) -> None:
    """Everything that the user has sent is to be deleted."""
    await tx.execute(update(avatar_uploads).where(avatar_uploads.c.owner_id == user_id).values(status="DROPPED"))
