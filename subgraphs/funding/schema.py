"""The GraphQL schema of funding: thin resolvers over the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

import strawberry
from sqlalchemy import Row, select
from strawberry.federation.schema_directives import ListSize

from subgraphs.funding import search
from subgraphs.funding.domain import PostAudience, ProjectSort
from subgraphs.funding.entities import ENTITIES
from subgraphs.funding.errors import InputError, errors_of
from subgraphs.funding.inputs import (
    PledgeInput,
    ProjectFilter,
    ProjectInput,
    RewardInput,
    new_pledge,
    project_draft,
    request_of,
    reward_draft,
    search_filter,
)
from subgraphs.funding.models import categories, comments
from subgraphs.funding.payloads import CommentPayload, PledgePayload, ProjectPayload, ProjectPostPayload, RewardPayload
from subgraphs.funding.service import may_see
from subgraphs.funding.types import (
    Comment,
    Info,
    Pledge,
    Project,
    ProjectCategory,
    ProjectConnection,
    Reward,
    User,
    connection_of,
    pledge_seen,
    post_seen,
    project_seen,
)
from subgraphs.kit.caching import NEVER, kept
from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied, Rejected, RejectedTogether
from subgraphs.kit.ids import local_id, named_id, parse_id
from subgraphs.kit.pagination import Page, page_size

T = TypeVar("T")
Refused = (Rejected, RejectedTogether)
OVERLAP = timedelta(seconds=10)
"""A comment may be committed after one with a later id: longer than a transaction may last."""
_PAGED = ListSize(
    slicing_arguments=["first"],
    sized_fields=["edges"],
    assumed_size=strawberry.UNSET,
    require_one_slicing_argument=strawberry.UNSET,
)


@strawberry.type
class Query:
    @strawberry.federation.field(tags=["partner"])
    async def project(
        self, info: Info, id: strawberry.ID | None = strawberry.UNSET, slug: str | None = strawberry.UNSET
    ) -> Project | None:
        loaders = info.context.loaders
        if bool(id) == bool(slug):
            raise Rejected("REQUIRED", "Give either id or slug.")
        if slug:
            return project_seen(info, await loaders.project_by_slug.load(slug))
        project_id = named_id("Project", id or "")
        return project_seen(info, await loaders.project.load(project_id)) if project_id is not None else None

    @strawberry.federation.field(directives=[_PAGED, kept(10)])
    async def project_search(
        self,
        info: Info,
        query: str | None = strawberry.UNSET,
        filter: ProjectFilter | None = strawberry.UNSET,
        sort: ProjectSort | None = ProjectSort.POPULAR,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> ProjectConnection | None:
        wanted = search.Search((query or "")[:200], search_filter(filter or None), sort or ProjectSort.POPULAR)
        size, order = page_size(first), f"projects.{wanted.sort.value}"
        place = info.context.cursors.decode(order, after) if after else None
        rows = await info.context.loaders.rows(search.page(wanted, size, place))
        page: Page[Any] = info.context.cursors.page(
            order, rows, size, after or None, lambda row: search.position_of(wanted, row)
        )
        return connection_of(page, lambda: info.context.loaders.count(search.count(wanted)))

    @strawberry.field(directives=[NEVER])
    async def recommended_projects(self, info: Info, first: int | None = 10) -> list[Project] | None:
        rows = await info.context.loaders.rows(search.recommended(info.context.identity.user_id, page_size(first, 10)))
        return [Project.of(row) for row in rows]

    @strawberry.field
    async def project_categories(self, info: Info) -> list[ProjectCategory] | None:
        rows = await info.context.loaders.rows(select(categories).order_by(categories.c.slug))
        return [ProjectCategory.of(row) for row in rows]

    @strawberry.federation.field(authenticated=True)
    async def pledge(self, info: Info, id: strawberry.ID) -> Pledge | None:
        info.context.identity.require_user()
        pledge_id = named_id("Pledge", id)
        row = await info.context.loaders.pledge.load(pledge_id) if pledge_id is not None else None
        return await pledge_seen(info.context, row)


@strawberry.type
class Mutation:
    @strawberry.federation.field(authenticated=True)
    async def project_create(self, info: Info, input: ProjectInput, idempotency_key: str) -> ProjectPayload:
        async def work(user_id: str) -> str:
            draft = project_draft(input)
            body = [str(getattr(draft, each.name)) for each in fields(draft)]
            request = request_of(user_id, "projectCreate", idempotency_key, body)
            return await info.context.projects.create(user_id, draft, request)

        return await _project(info, work)

    @strawberry.federation.field(authenticated=True)
    async def project_update(self, info: Info, id: strawberry.ID, version: int, input: ProjectInput) -> ProjectPayload:
        async def work(user_id: str) -> str:
            project_id = local_id("Project", id, field=["id"])
            await info.context.projects.update(user_id, project_id, version, project_draft(input))
            return project_id

        return await _project(info, work)

    @strawberry.federation.field(authenticated=True)
    async def project_submit(self, info: Info, id: strawberry.ID) -> ProjectPayload:
        async def work(user_id: str) -> str:
            project_id = local_id("Project", id, field=["id"])
            await info.context.projects.submit(user_id, project_id)
            return project_id

        return await _project(info, work)

    @strawberry.federation.field(requires_scopes=[["projects:review"]])
    async def project_review(
        self, info: Info, id: strawberry.ID, approve: bool, reason: str | None = strawberry.UNSET
    ) -> ProjectPayload:
        info.context.identity.require_scope("projects:review")

        async def work(_user_id: str) -> str:
            project_id = local_id("Project", id, field=["id"])
            await info.context.projects.review(project_id, approve, reason or None)
            return project_id

        return await _project(info, work)

    @strawberry.federation.field(authenticated=True)
    async def project_cancel(self, info: Info, id: strawberry.ID, reason: str) -> ProjectPayload:
        async def work(user_id: str) -> str:
            project_id = local_id("Project", id, field=["id"])
            await info.context.projects.cancel(user_id, project_id, reason)
            return project_id

        return await _project(info, work)

    @strawberry.federation.field(authenticated=True)
    async def reward_create(self, info: Info, project_id: strawberry.ID, input: RewardInput) -> RewardPayload:
        async def work(user_id: str) -> str:
            project = local_id("Project", project_id, field=["projectId"])
            return await info.context.projects.reward_create(user_id, project, await reward_draft(info, project, input))

        return await _reward(info, work)

    @strawberry.federation.field(authenticated=True)
    async def reward_update(self, info: Info, id: strawberry.ID, input: RewardInput) -> RewardPayload:
        async def work(user_id: str) -> str:
            reward_id = local_id("Reward", id, field=["id"])
            row = await info.context.loaders.reward.load(reward_id)
            draft = await reward_draft(info, row.project_id if row is not None else "", input)
            await info.context.projects.reward_update(user_id, reward_id, draft)
            return reward_id

        return await _reward(info, work)

    @strawberry.federation.field(authenticated=True)
    async def reward_delete(self, info: Info, id: strawberry.ID) -> RewardPayload:
        user_id = info.context.identity.require_user()
        try:
            await info.context.projects.reward_delete(user_id, local_id("Reward", id, field=["id"]))
        except Refused as error:
            return RewardPayload(reward=None, user_errors=errors_of(error))
        return RewardPayload(reward=None, user_errors=[])

    @strawberry.federation.field(authenticated=True)
    async def project_post_publish(
        self,
        info: Info,
        project_id: strawberry.ID,
        title: str,
        body: str,
        audience: PostAudience = PostAudience.EVERYONE,
    ) -> ProjectPostPayload:
        user_id = info.context.identity.require_user()
        try:
            project = local_id("Project", project_id, field=["projectId"])
            post_id = await info.context.projects.post(user_id, project, title, body, audience)
        except Refused as error:
            return ProjectPostPayload(post=None, user_errors=errors_of(error))
        return ProjectPostPayload(
            post=await post_seen(info.context, await info.context.loaders.post.load(post_id)), user_errors=[]
        )

    @strawberry.federation.field(authenticated=True)
    async def pledge_create(self, info: Info, input: PledgeInput, idempotency_key: str) -> PledgePayload:
        async def work(user_id: str) -> str:
            return await info.context.pledging.create(await new_pledge(info, user_id, input, idempotency_key))

        return await _pledge(info, work)

    @strawberry.federation.field(authenticated=True)
    async def pledge_cancel(
        self, info: Info, id: strawberry.ID, reason: str | None = strawberry.UNSET
    ) -> PledgePayload:
        async def work(user_id: str) -> str:
            pledge_id = local_id("Pledge", id, field=["id"])
            await info.context.pledging.cancel(user_id, pledge_id, reason or None)
            return pledge_id

        return await _pledge(info, work)

    @strawberry.federation.field(authenticated=True)
    async def pledge_payment_method_update(
        self, info: Info, id: strawberry.ID, payment_method_id: strawberry.ID
    ) -> PledgePayload:
        async def work(user_id: str) -> str:
            pledge_id = local_id("Pledge", id, field=["id"])
            method_id = local_id("PaymentMethod", payment_method_id, field=["paymentMethodId"])
            await info.context.pledging.change_method(user_id, pledge_id, method_id)
            return pledge_id

        return await _pledge(info, work)

    @strawberry.federation.field(authenticated=True)
    async def comment_create(
        self, info: Info, subject_id: strawberry.ID, body: str, parent_id: strawberry.ID | None = strawberry.UNSET
    ) -> CommentPayload:
        async def work(_user_id: str) -> str:
            parent = local_id("Comment", parent_id, field=["parentId"]) if parent_id else None
            return await info.context.talk.comment(info.context.identity, _subject(subject_id), parent, body)

        return await _comment(info, work)

    @strawberry.federation.field(authenticated=True)
    async def comment_delete(self, info: Info, id: strawberry.ID) -> CommentPayload:
        async def work(_user_id: str) -> str:
            comment_id = local_id("Comment", id, field=["id"])
            await info.context.talk.hide(info.context.identity, comment_id)
            return comment_id

        return await _comment(info, work)

    @strawberry.federation.field(authenticated=True)
    async def project_favorite_add(self, info: Info, project_id: strawberry.ID) -> ProjectPayload:
        return await _favorite(info, project_id, True)

    @strawberry.federation.field(authenticated=True)
    async def project_favorite_remove(self, info: Info, project_id: strawberry.ID) -> ProjectPayload:
        return await _favorite(info, project_id, False)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def project_progress_updated(self, info: Info, id: strawberry.ID) -> AsyncIterator[Project]:
        """The project as it is now, then whenever its figures or its state change."""
        project_id = local_id("Project", id)
        async for _ in info.context.changes.listen(f"project:{project_id}", at_once=True):
            info.context.loaders.project.clear(project_id)
            row = await info.context.loaders.project.load(project_id)
            if row is None or not may_see(row, info.context.identity):
                raise AccessDenied
            yield Project.of(row)

    @strawberry.subscription
    async def comment_added(self, info: Info, subject_id: strawberry.ID) -> AsyncIterator[Comment]:
        """Comments from now on, each once."""
        kind, subject = _subject(subject_id)
        since = info.context.now()
        heard = {row.id for row in await _comments_since(info, subject, since - OVERLAP)}
        if kind == "Project":
            row = await info.context.loaders.project.load(subject)
            if row is None or not may_see(row, info.context.identity):
                raise AccessDenied
        elif await post_seen(info.context, await info.context.loaders.post.load(subject)) is None:
            raise AccessDenied
        async for _ in info.context.changes.listen(f"comments:{subject}", at_once=True):
            now = info.context.now()
            for each in await _comments_since(info, subject, since - OVERLAP):
                if each.id not in heard:
                    heard.add(each.id)
                    yield Comment.of(each)
            since = now


async def _comments_since(info: Info, subject: str, since: datetime) -> Sequence[Row[Any]]:
    query = select(comments).where(comments.c.subject_id == subject, comments.c.created_at >= since)
    return await info.context.loaders.rows(query.order_by(comments.c.id))


def _subject(given: str) -> tuple[str, str]:
    found = parse_id(given)
    if found is None or found[0] not in ("Project", "ProjectPost"):
        raise Rejected("NOT_FOUND", "Nothing here to talk about.", ["subjectId"])
    return found


Work = Callable[[str], Awaitable[str]]
"""A use case for the user of this id; gives back the id of what it made or changed."""


async def _project(info: Info, work: Work) -> ProjectPayload:
    user_id = info.context.identity.require_user()
    try:
        project_id = await work(user_id)
    except Refused as error:
        return ProjectPayload(project=None, user_errors=errors_of(error))
    info.context.loaders.project.clear(project_id)
    row = await info.context.loaders.project.load(project_id)
    return ProjectPayload(project=project_seen(info, row), user_errors=[])


async def _reward(info: Info, work: Work) -> RewardPayload:
    user_id = info.context.identity.require_user()
    try:
        reward_id = await work(user_id)
    except Refused as error:
        return RewardPayload(reward=None, user_errors=errors_of(error))
    info.context.loaders.reward.clear(reward_id)
    row = await info.context.loaders.reward.load(reward_id)
    return RewardPayload(reward=Reward.of(row) if row is not None else None, user_errors=[])


async def _pledge(info: Info, work: Work) -> PledgePayload:
    user_id = info.context.identity.require_user()
    try:
        pledge_id = await work(user_id)
    except Refused as error:
        return PledgePayload(pledge=None, user_errors=errors_of(error))
    info.context.loaders.project.clear_all()  # its figures have changed
    info.context.loaders.pledge.clear(pledge_id)
    return PledgePayload(
        pledge=await pledge_seen(info.context, await info.context.loaders.pledge.load(pledge_id)), user_errors=[]
    )


async def _comment(info: Info, work: Work) -> CommentPayload:
    user_id = info.context.identity.require_user()
    try:
        comment_id = await work(user_id)
    except Refused as error:
        return CommentPayload(comment=None, user_errors=errors_of(error))
    row = await info.context.loaders.comment.load(comment_id)
    return CommentPayload(comment=Comment.of(row) if row is not None else None, user_errors=[])


async def _favorite(info: Info, given: str, wanted: bool) -> ProjectPayload:
    async def work(_user_id: str) -> str:
        project_id = local_id("Project", given, field=["projectId"])
        await info.context.talk.favorite(info.context.identity, project_id, wanted)
        return project_id

    return await _project(info, work)


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[User, InputError],
    federation_version="2.9",
)
resolve_entities(schema, ENTITIES)
