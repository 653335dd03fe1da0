"""The GraphQL schema of funding: thin resolvers over the use cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import strawberry
from sqlalchemy import Row, select
from strawberry.federation.schema_directives import ListSize

from subgraphs.funding import search
from subgraphs.funding.domain import PostAudience, ProjectSort
from subgraphs.funding.loaders import Context
from subgraphs.funding.models import categories, comments
from subgraphs.funding.pledging import NewPledge
from subgraphs.funding.service import ProjectDraft, RewardDraft, may_see
from subgraphs.funding.types import (
    Comment,
    CommentPayload,
    Info,
    InputError,
    Pledge,
    PledgeInput,
    PledgePayload,
    Project,
    ProjectCategory,
    ProjectConnection,
    ProjectFilter,
    ProjectInput,
    ProjectPayload,
    ProjectPost,
    ProjectPostPayload,
    Reward,
    RewardInput,
    RewardPayload,
    User,
    connection_of,
    errors_of,
    local,
    pledge_seen,
    post_seen,
    project_seen,
)
from subgraphs.kit import money
from subgraphs.kit.changes import started
from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied, Rejected, RejectedTogether
from subgraphs.kit.idempotency import Request, check_key
from subgraphs.kit.ids import local_id, new_ulid, parse_id
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
        return project_seen(info, await loaders.project.load(local_id("Project", id or "")))

    @strawberry.federation.field(directives=[_PAGED])
    async def project_search(
        self,
        info: Info,
        query: str | None = strawberry.UNSET,
        filter: ProjectFilter | None = strawberry.UNSET,
        sort: ProjectSort | None = ProjectSort.POPULAR,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
    ) -> ProjectConnection | None:
        wanted = search.Search((query or "")[:200], _filter(filter or None), sort or ProjectSort.POPULAR)
        size, order = page_size(first), f"projects.{wanted.sort.value}"
        place = info.context.cursors.decode(order, after) if after else None
        rows = await info.context.loaders.rows(search.page(wanted, size, place))
        page: Page[Any] = info.context.cursors.page(
            order, rows, size, after or None, lambda row: search.position_of(wanted, row)
        )
        return connection_of(page, lambda: info.context.loaders.count(search.count(wanted)))

    @strawberry.field
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
        return await pledge_seen(info.context, await info.context.loaders.pledge.load(local_id("Pledge", id)))


@strawberry.type
class Mutation:
    @strawberry.federation.field(authenticated=True)
    async def project_create(self, info: Info, input: ProjectInput, idempotency_key: str) -> ProjectPayload:
        async def work(user_id: str) -> str:
            draft = _project_draft(input)
            body = [str(getattr(draft, each.name)) for each in fields(draft)]
            request = _request(user_id, "projectCreate", idempotency_key, body)
            return await info.context.projects.create(user_id, draft, request)

        return await _project(info, work)

    @strawberry.federation.field(authenticated=True)
    async def project_update(self, info: Info, id: strawberry.ID, version: int, input: ProjectInput) -> ProjectPayload:
        async def work(user_id: str) -> str:
            project_id = local_id("Project", id, field=["id"])
            await info.context.projects.update(user_id, project_id, version, _project_draft(input))
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
            return await info.context.projects.reward_create(
                user_id, project, await _reward_draft(info, project, input)
            )

        return await _reward(info, work)

    @strawberry.federation.field(authenticated=True)
    async def reward_update(self, info: Info, id: strawberry.ID, input: RewardInput) -> RewardPayload:
        async def work(user_id: str) -> str:
            reward_id = local_id("Reward", id, field=["id"])
            row = await info.context.loaders.reward.load(reward_id)
            draft = await _reward_draft(info, row.project_id if row is not None else "", input)
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
            return await info.context.pledging.create(await _new_pledge(info, user_id, input, idempotency_key))

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
        async for _ in started(info.context.changes.listen(f"project:{project_id}")):
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
        async for _ in started(info.context.changes.listen(f"comments:{subject}")):
            now = info.context.now()
            for each in await _comments_since(info, subject, since - OVERLAP):
                if each.id not in heard:
                    heard.add(each.id)
                    yield Comment.of(each)
            since = now


async def _comments_since(info: Info, subject: str, since: datetime) -> Sequence[Row[Any]]:
    query = select(comments).where(comments.c.subject_id == subject, comments.c.created_at >= since)
    return await info.context.loaders.rows(query.order_by(comments.c.id))


def _filter(given: ProjectFilter | None) -> search.Filter:
    if given is None:
        return search.Filter()
    return search.Filter(
        category_ids=_ids("ProjectCategory", given.category_ids),
        status=given.status if given.status is not strawberry.UNSET else None,
        production_status=given.production_status if given.production_status is not strawberry.UNSET else None,
        progress_min=given.progress_min if given.progress_min is not strawberry.UNSET else None,
        creator_ids=_ids("User", given.creator_ids),
    )


def _ids(type_name: str, given: Any) -> list[str] | None:
    if given is strawberry.UNSET or given is None:
        return None
    return [found for found in (local(type_name, each) for each in given) if found]


def _subject(given: str) -> tuple[str, str]:
    found = parse_id(given)
    if found is None or found[0] not in ("Project", "ProjectPost"):
        raise Rejected("NOT_FOUND", "Nothing here to talk about.", ["subjectId"])
    return found


def _minor(amount: Decimal, currency: str, field: str) -> int:
    try:
        return money.to_minor(amount, currency)
    except money.InvalidAmount as error:
        raise Rejected("INVALID", str(error), ["input", field]) from None


def _moment(given: datetime | None, field: str) -> datetime | None:
    """The instant in UTC, if one is given. Raises Rejected for one without an offset or far from our time."""
    if not given:
        return None
    if given.tzinfo is None:
        raise Rejected("INVALID", "Give the time with its offset.", ["input", field])
    if not 2000 <= given.year < 3000:
        raise Rejected("INVALID", "Not a time of ours.", ["input", field])
    return given.astimezone(UTC)


def _project_draft(given: ProjectInput) -> ProjectDraft:
    closes_at = _moment(given.closes_at, "closesAt")
    assert closes_at is not None
    return ProjectDraft(
        title=given.title,
        summary=given.summary or None,
        story=given.story,
        category_id=local_id("ProjectCategory", given.category_id, field=["input", "categoryId"]),
        goal_amount=_minor(given.goal_amount, given.currency_code.value, "goalAmount"),
        currency=given.currency_code.value,
        opens_at=_moment(given.opens_at, "opensAt"),
        closes_at=closes_at,
        funding_model=given.funding_model,
    )


async def _reward_draft(info: Info, project_id: str, given: RewardInput) -> RewardDraft:
    project = await info.context.loaders.project.load(project_id)
    currency = project.currency if project is not None else "KRW"
    return RewardDraft(
        title=given.title,
        description=given.description,
        minimum_amount=_minor(given.minimum_amount, currency, "minimumAmount"),
        total_quantity=given.total_quantity if given.total_quantity is not strawberry.UNSET else None,
        estimated_delivery_on=given.estimated_delivery_on,
        shipping_required=given.shipping_required,
    )


async def _new_pledge(info: Info, user_id: str, given: PledgeInput, key: str) -> NewPledge:
    project_id = local_id("Project", given.project_id, field=["input", "projectId"])
    project = await info.context.loaders.project.load(project_id)
    if project is None:
        raise Rejected("NOT_FOUND", "No such project.", ["input", "projectId"])
    reward_id = local_id("Reward", given.reward_id, field=["input", "rewardId"]) if given.reward_id else None
    method = given.payment_method_id
    method_id = local_id("PaymentMethod", method, field=["input", "paymentMethodId"]) if method else None
    address_id = local_id("Address", given.address_id, field=["input", "addressId"]) if given.address_id else None
    additional = _minor(given.additional_amount or Decimal(0), project.currency, "additionalAmount")
    body = [project_id, reward_id, given.quantity, additional, method_id, address_id]
    return NewPledge(
        backer_id=user_id,
        project_id=project_id,
        reward_id=reward_id,
        quantity=given.quantity,
        additional_amount=additional,
        payment_method_id=method_id,
        address_id=address_id,
        request=_request(user_id, "pledgeCreate", key, body),
    )


def _request(user_id: str, operation: str, key: str, body: Any) -> Request:
    return Request(scope=f"{user_id}:{operation}", key=check_key(key), body=body, claim=new_ulid())


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


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[User, InputError],
    federation_version="2.9",
)
resolve_entities(
    schema,
    {
        "Project": _projects,
        "ProjectCategory": _categories,
        "Reward": _rewards,
        "Pledge": _pledges,
        "ProjectPost": _posts,
        "Comment": _comments,
        "User": _users,
    },
)
