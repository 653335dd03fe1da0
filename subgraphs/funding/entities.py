"""Entities by their keys, as the router asks for them: many at once, and only what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import strawberry
from sqlalchemy import Row

from subgraphs.funding.loaders import Context
from subgraphs.funding.service import may_see
from subgraphs.funding.types import (
    Comment,
    Pledge,
    Project,
    ProjectCategory,
    ProjectPost,
    Reward,
    User,
    local,
    pledge_seen,
    post_seen,
)
from subgraphs.kit.entities import Resolve

T = TypeVar("T")
Found = Sequence[Row[Any] | None]


async def _load(loader: Any, type_name: str, representations: Sequence[Mapping[str, Any]]) -> Found:
    keys = [local(type_name, each.get("id")) for each in representations]
    loading = [loader.load(key) if key else None for key in keys]
    return [None if each is None else await each for each in loading]


async def _gather(see: Callable[[Context, Row[Any] | None], Awaitable[T]], context: Context, rows: Found) -> list[T]:
    """What the caller may see of each row; all at once, so that the loaders batch."""
    return list(await asyncio.gather(*(see(context, row) for row in rows)))


async def _projects(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Project | None]:
    by_slug = context.loaders.project_by_slug
    rows = list(await _load(context.loaders.project, "Project", representations))
    for index, each in enumerate(representations):
        if rows[index] is None and "id" not in each and isinstance(each.get("slug"), str):
            rows[index] = await by_slug.load(each["slug"])
    return [Project.of(row) if row is not None and may_see(row, context.identity) else None for row in rows]


async def _categories(representations: Sequence[Mapping[str, Any]], context: Context) -> list[ProjectCategory | None]:
    rows = await _load(context.loaders.category, "ProjectCategory", representations)
    return [ProjectCategory.of(row) if row is not None else None for row in rows]


async def _rewards(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Reward | None]:
    return await _gather(_reward_seen, context, await _load(context.loaders.reward, "Reward", representations))


async def _reward_seen(context: Context, row: Row[Any] | None) -> Reward | None:
    project = await context.loaders.project.load(row.project_id) if row is not None else None
    visible = project is not None and may_see(project, context.identity)
    return Reward.of(row) if row is not None and visible else None


async def _pledges(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Pledge | None]:
    return await _gather(pledge_seen, context, await _load(context.loaders.pledge, "Pledge", representations))


async def _posts(representations: Sequence[Mapping[str, Any]], context: Context) -> list[ProjectPost | None]:
    return await _gather(post_seen, context, await _load(context.loaders.post, "ProjectPost", representations))


async def _comments(representations: Sequence[Mapping[str, Any]], context: Context) -> list[Comment | None]:
    return await _gather(_comment_seen, context, await _load(context.loaders.comment, "Comment", representations))


async def _comment_seen(context: Context, row: Row[Any] | None) -> Comment | None:
    """A comment for those who may see what it is about: on a post, for whom the post is meant."""
    if row is None:
        return None
    if row.subject_id != row.project_id:
        post = await context.loaders.post.load(row.subject_id)
        return Comment.of(row) if await post_seen(context, post) is not None else None
    project = await context.loaders.project.load(row.project_id)
    return Comment.of(row) if project is not None and may_see(project, context.identity) else None


async def _users(representations: Sequence[Mapping[str, Any]], _context: Context) -> list[User | None]:
    return [User(id=strawberry.ID(each["id"])) if local("User", each.get("id")) else None for each in representations]


ENTITIES: Mapping[str, Resolve] = {
    "Project": _projects,
    "ProjectCategory": _categories,
    "Reward": _rewards,
    "Pledge": _pledges,
    "ProjectPost": _posts,
    "Comment": _comments,
    "User": _users,
}
