"""Use cases of conversation: comments and favourites."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from db.statements import insert_ignore
from subgraphs.funding.domain import RAISED, PostAudience, text_problem
from subgraphs.funding.models import comments, favorites, pledges, posts, projects
from subgraphs.funding.service import lock_project, may_see
from subgraphs.kit.changes import Changes
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import new_ulid


class Talk:
    """What anybody who is logged in may say and like."""

    def __init__(self, database: Database, changes: Changes, now: Callable[[], datetime]) -> None:
        self._database = database
        self._changes = changes
        self._now = now

    async def comment(self, who: Identity, subject: tuple[str, str], parent_id: str | None, body: str) -> str:
        """Say something on a project or a post (``subject``: type and id); the comment's id. Raises Rejected."""
        if problem := text_problem(body, 2000):
            raise Rejected("INVALID", problem, ["body"])
        author_id = who.require_user()

        async def work(tx: AsyncConnection) -> str:
            project_id = await _project_of(tx, who, subject)
            if parent_id is not None:
                parent = (await tx.execute(select(comments).where(comments.c.id == parent_id))).first()
                if parent is None or parent.subject_id != subject[1]:
                    raise Rejected("NOT_FOUND", "No such comment here.", ["parentId"])
            row = {
                "id": new_ulid(),
                "subject_id": subject[1],
                "project_id": project_id,
                "parent_id": parent_id,
                "author_id": author_id,
                "body": body.strip(),
                "created_at": self._now(),
            }
            await tx.execute(insert(comments), row)
            return str(row["id"])

        comment_id = await self._database.run(work)
        await self._changes.tell(f"comments:{subject[1]}")
        return comment_id

    async def hide(self, who: Identity, comment_id: str) -> None:
        """Take a comment's words away: its author's right, the project's creator's, an admin's. Raises Rejected."""

        async def work(tx: AsyncConnection) -> str:
            query = (
                select(comments, projects.c.creator_id)
                .join(projects, projects.c.id == comments.c.project_id)
                .where(comments.c.id == comment_id)
            )
            row = (await tx.execute(query)).first()
            if row is None:
                raise Rejected("NOT_FOUND", "No such comment.", ["id"])
            if who.user_id not in (row.author_id, row.creator_id) and "ADMIN" not in who.roles:
                raise Rejected("NOT_ALLOWED", "This is not yours to delete.", ["id"])
            hide = update(comments).where(comments.c.id == comment_id, comments.c.hidden_at.is_(None))
            await tx.execute(hide.values(hidden_at=self._now()))
            return str(row.subject_id)

        subject_id = await self._database.run(work)
        await self._changes.tell(f"comments:{subject_id}")

    async def favorite(self, who: Identity, project_id: str, wanted: bool) -> None:
        """Like a project, or no longer. The same again changes nothing. Raises Rejected."""
        user_id = who.require_user()

        async def work(tx: AsyncConnection) -> None:
            # Held first: else two who insert at once would each wait for the other's share of the row.
            row = await lock_project(tx, project_id)
            if row is None or not may_see(row, who):
                raise Rejected("NOT_FOUND", "No such project.", ["projectId"])
            if wanted:
                liked = {"user_id": user_id, "project_id": project_id, "position": new_ulid()}
                changed = await insert_ignore(tx, favorites, [liked])
            else:
                mine = (favorites.c.user_id == user_id) & (favorites.c.project_id == project_id)
                changed = -(await tx.execute(favorites.delete().where(mine))).rowcount
            if changed:
                more = projects.c.favorite_count + changed
                await tx.execute(update(projects).where(projects.c.id == project_id).values(favorite_count=more))

        await self._database.run(work)


async def _project_of(tx: AsyncConnection, who: Identity, subject: tuple[str, str]) -> str:
    """The project that is talked about, if the caller may see it. Raises Rejected NOT_FOUND."""
    kind, subject_id = subject
    project_id: str | None = subject_id
    post: Row[Any] | None = None
    if kind == "ProjectPost":
        post = (await tx.execute(select(posts).where(posts.c.id == subject_id))).first()
        project_id = post.project_id if post else None
    row = (await tx.execute(select(projects).where(projects.c.id == project_id))).first()
    if row is None or not may_see(row, who):
        raise Rejected("NOT_FOUND", "Nothing here to talk about.", ["subjectId"])
    if post is not None and post.audience == PostAudience.BACKERS.value and row.creator_id != who.user_id:
        mine = (pledges.c.project_id == row.id) & (pledges.c.backer_id == who.user_id)
        backed = select(pledges.c.id).where(mine, pledges.c.status.in_([status.value for status in RAISED]))
        if (await tx.execute(backed.limit(1))).first() is None:
            raise Rejected("NOT_FOUND", "Nothing here to talk about.", ["subjectId"])
    return str(row.id)
