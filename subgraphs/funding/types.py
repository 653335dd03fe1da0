"""GraphQL types of funding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from subgraphs.funding.domain import (
    TRANSITIONS,
    FundingModel,
    PledgeStatus,
    PostAudience,
    ProductionStatus,
    ProjectSort,
    ProjectStatus,
    progress_percent,
)
from subgraphs.funding.loaders import Context, counting
from subgraphs.funding.models import comments, favorites, pledges, posts, projects
from subgraphs.funding.service import may_see
from subgraphs.kit.caching import INHERITED, NEVER, kept
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.pagination import Page
from subgraphs.kit.types import Money, Node, PageInfo, money_of

Info = strawberry.Info[Context, None]

for _enum in (FundingModel, ProductionStatus, ProjectStatus, PledgeStatus, PostAudience, ProjectSort):
    strawberry.enum(_enum)


@strawberry.federation.type(keys=["id"], directives=[kept(300)])
class ProjectCategory(Node):
    id: strawberry.ID
    slug: str
    name: str

    @staticmethod
    def of(row: Row[Any]) -> ProjectCategory:
        return ProjectCategory(id=_id("ProjectCategory", row.id), slug=row.slug, name=row.name)


@strawberry.type(directives=[INHERITED])
class ProjectMedia:
    url: str
    alt: str | None


@strawberry.federation.type(keys=["id"], directives=[kept(10)])
class Reward(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    title: str
    description: str
    total_quantity: int | None
    remaining_quantity: int | None
    sold_out: bool
    estimated_delivery_on: date
    shipping_required: bool

    @strawberry.field
    async def project(self, info: Info) -> Project:
        row = await info.context.loaders.project.load(self.row.project_id)
        assert row is not None
        return Project.of(row)

    @strawberry.field
    async def minimum_amount(self, info: Info) -> Money:
        row = await info.context.loaders.project.load(self.row.project_id)
        assert row is not None
        return money_of(self.row.minimum_amount, row.currency)

    @staticmethod
    def of(row: Row[Any]) -> Reward:
        remaining = None if row.total_quantity is None else row.total_quantity - row.claimed
        return Reward(
            id=_id("Reward", row.id),
            row=row,
            title=row.title,
            description=row.description,
            total_quantity=row.total_quantity,
            remaining_quantity=remaining,
            sold_out=remaining == 0,
            estimated_delivery_on=row.estimated_delivery_on,
            shipping_required=row.shipping_required,
        )


@strawberry.federation.type(keys=["id"])
class Pledge(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    quantity: int
    additional_amount: Money
    total: Money
    status: PledgeStatus
    failure_reason: str | None
    shipping_address_id: strawberry.ID | None
    created_at: datetime
    canceled_at: datetime | None

    @strawberry.field
    async def project(self, info: Info) -> Project:
        row = await info.context.loaders.project.load(self.row.project_id)
        assert row is not None
        return Project.of(row)

    @strawberry.field
    async def reward(self, info: Info) -> Reward | None:
        row = await info.context.loaders.reward.load(self.row.reward_id) if self.row.reward_id else None
        return Reward.of(row) if row is not None else None

    @strawberry.field
    def backer(self) -> User | None:
        return User(id=_id("User", self.row.backer_id))

    @strawberry.field
    async def cancelable_until(self, info: Info) -> datetime | None:
        row = await info.context.loaders.project.load(self.row.project_id)
        open_still = row is not None and row.status == "OPEN" and self.status is PledgeStatus.RESERVED
        return row.closes_at if row is not None and open_still else None

    @staticmethod
    def of(row: Row[Any]) -> Pledge:
        return Pledge(
            id=_id("Pledge", row.id),
            row=row,
            quantity=row.quantity,
            additional_amount=money_of(row.additional_amount, row.currency),
            total=money_of(row.total, row.currency),
            status=PledgeStatus(row.status),
            failure_reason=None,
            shipping_address_id=_id("Address", row.shipping_address_id) if row.shipping_address_id else None,
            created_at=row.created_at,
            canceled_at=row.canceled_at,
        )


async def pledge_seen(context: Context, row: Row[Any] | None) -> Pledge | None:
    """The pledge for its backer, the project's creator and admins; nothing for anybody else."""
    if row is None:
        return None
    who = context.identity
    if who.user_id != row.backer_id and "ADMIN" not in who.roles:
        project = await context.loaders.project.load(row.project_id)
        if project is None or who.user_id is None or project.creator_id != who.user_id:
            return None
    return Pledge.of(row)


@strawberry.federation.type(keys=["id"])
class Comment(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    body: str
    created_at: datetime
    hidden_at: datetime | None

    @strawberry.federation.field(provides=["displayName avatarUrl"])
    async def author(self, info: Info) -> User | None:
        copy = await info.context.loaders.user.load(self.row.author_id)
        return User(
            id=_id("User", self.row.author_id),
            display_name=copy.display_name if copy is not None else "",
            avatar_url=copy.avatar_url if copy is not None else None,
        )

    @strawberry.field
    async def parent(self, info: Info) -> Comment | None:
        row = await info.context.loaders.comment.load(self.row.parent_id) if self.row.parent_id else None
        return Comment.of(row) if row is not None else None

    @strawberry.field
    async def replies(
        self, info: Info, first: int | None = 10, after: str | None = strawberry.UNSET
    ) -> CommentConnection:
        return await comment_page(info, first, after or None, comments.c.parent_id == self.row.id)

    @strawberry.field
    async def is_creator(self, info: Info) -> bool:
        project = await info.context.loaders.project.load(self.row.project_id)
        return project is not None and project.creator_id == self.row.author_id

    @staticmethod
    def of(row: Row[Any]) -> Comment:
        return Comment(
            id=_id("Comment", row.id),
            row=row,
            body="" if row.hidden_at else row.body,
            created_at=row.created_at,
            hidden_at=row.hidden_at,
        )


@strawberry.federation.type(keys=["id"])
class ProjectPost(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    title: str
    body: str
    audience: PostAudience
    published_at: datetime

    @strawberry.field
    async def project(self, info: Info) -> Project:
        row = await info.context.loaders.project.load(self.row.project_id)
        assert row is not None
        return Project.of(row)

    @strawberry.field
    async def comments(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> CommentConnection:
        top = (comments.c.subject_id == self.row.id) & comments.c.parent_id.is_(None)
        return await comment_page(info, first, after or None, top)

    @staticmethod
    def of(row: Row[Any]) -> ProjectPost:
        return ProjectPost(
            id=_id("ProjectPost", row.id),
            row=row,
            title=row.title,
            body=row.body,
            audience=PostAudience(row.audience),
            published_at=row.published_at,
        )


async def post_seen(context: Context, row: Row[Any] | None) -> ProjectPost | None:
    """The post for those it is meant for."""
    if row is None:
        return None
    project = await context.loaders.project.load(row.project_id)
    if project is None or not may_see(project, context.identity):
        return None
    for_backers = row.audience == PostAudience.BACKERS.value and project.creator_id != context.identity.user_id
    if for_backers and not await context.loaders.is_backer.load(row.project_id):
        return None
    return ProjectPost.of(row)


@strawberry.federation.type(keys=["id", "slug"], tags=["partner"], directives=[kept(10)])
class Project(Node):
    id: strawberry.ID
    row: strawberry.Private[Row[Any]]
    slug: str
    title: str
    summary: str | None
    story: str
    goal_amount: Money
    pledged_amount: Money
    progress_percent: int
    backer_count: int
    opens_at: datetime | None
    closes_at: datetime
    funding_model: FundingModel
    production_status: ProductionStatus
    status: ProjectStatus
    favorite_count: int
    version: int

    @strawberry.field
    async def category(self, info: Info) -> ProjectCategory:
        row = await info.context.loaders.category.load(self.row.category_id)
        assert row is not None
        return ProjectCategory.of(row)

    @strawberry.field
    def media(self) -> list[ProjectMedia]:
        return [ProjectMedia(url=each["url"], alt=each.get("alt")) for each in self.row.media]

    @strawberry.field(directives=[INHERITED])
    def creator(self) -> User | None:
        return User(id=_id("User", self.row.creator_id))

    @strawberry.field
    async def rewards(self, info: Info) -> list[Reward]:
        return [Reward.of(row) for row in await info.context.loaders.rewards_of_project.load(self.row.id)]

    @strawberry.field(directives=[NEVER])
    async def posts(
        self, info: Info, first: int | None = 10, after: str | None = strawberry.UNSET
    ) -> ProjectPostConnection:
        seen = posts.c.project_id == self.row.id
        mine = self.row.creator_id == info.context.identity.user_id
        if not mine and not await info.context.loaders.is_backer.load(self.row.id):
            seen &= posts.c.audience == PostAudience.EVERYONE.value
        page = await info.context.newest_first(posts, "id", first, after or None, seen)
        edges = [ProjectPostEdge(cursor=cursor, node=ProjectPost.of(row)) for row, cursor in _pairs(page)]
        return ProjectPostConnection(edges=edges, page_info=page.info)

    @strawberry.field
    async def comments(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> CommentConnection:
        top = (comments.c.subject_id == self.row.id) & comments.c.parent_id.is_(None)
        return await comment_page(info, first, after or None, top)

    @strawberry.federation.field(requires_scopes=[["project:owner"]], directives=[NEVER])
    async def pledges(
        self,
        info: Info,
        first: int | None = 20,
        after: str | None = strawberry.UNSET,
        status: PledgeStatus | None = strawberry.UNSET,
    ) -> PledgeConnection | None:
        info.context.identity.require_scope("project:owner")
        if info.context.identity.user_id != self.row.creator_id:
            return None
        where = pledges.c.project_id == self.row.id
        if status:
            where &= pledges.c.status == status.value
        return await pledge_page(info, first, after or None, where)

    @strawberry.field(directives=[NEVER])
    async def is_favorite(self, info: Info) -> bool | None:
        if info.context.identity.user_id is None:
            return None
        return await info.context.loaders.is_favorite.load(self.row.id)

    @strawberry.field
    def next_transitions(self) -> list[ProjectStatus]:
        return list(TRANSITIONS[self.status])

    @staticmethod
    def of(row: Row[Any]) -> Project:
        return Project(
            id=_id("Project", row.id),
            row=row,
            slug=row.slug,
            title=row.title,
            summary=row.summary,
            story=row.story,
            goal_amount=money_of(row.goal_amount, row.currency),
            pledged_amount=money_of(row.pledged_amount, row.currency),
            progress_percent=progress_percent(row.pledged_amount, row.goal_amount),
            backer_count=row.backer_count,
            opens_at=row.opens_at,
            closes_at=row.closes_at,
            funding_model=FundingModel(row.funding_model),
            production_status=ProductionStatus(row.production_status),
            status=ProjectStatus(row.status),
            favorite_count=row.favorite_count,
            version=row.version,
        )


def project_seen(info: Info, row: Row[Any] | None) -> Project | None:
    """The project if the caller may see it."""
    return Project.of(row) if row is not None and may_see(row, info.context.identity) else None


@strawberry.federation.type(keys=["id"])
class User:
    id: strawberry.ID
    display_name: str = strawberry.federation.field(external=True, default="")
    avatar_url: str | None = strawberry.federation.field(external=True, default=None)

    @strawberry.field
    async def projects(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> ProjectConnection | None:
        user_id = local("User", self.id)
        if user_id is None:
            return None
        where = projects.c.creator_id == user_id
        if user_id != info.context.identity.user_id:
            where &= projects.c.published_at.is_not(None)
        page = await info.context.newest_first(projects, "id", first, after or None, where)
        return connection_of(page, lambda: info.context.loaders.count(counting(projects, where)))

    @strawberry.federation.field(authenticated=True)
    async def favorite_projects(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> ProjectConnection | None:
        user_id = self._own(info)
        if user_id is None:
            return None
        where = favorites.c.user_id == user_id
        page = await info.context.newest_first(favorites, "position", first, after or None, where)
        liked = await info.context.loaders.project.load_many([row.project_id for row in page.rows])
        shown = Page([row for row in liked if row], page.cursors, page.has_next, page.has_previous)
        return connection_of(shown, lambda: info.context.loaders.count(counting(favorites, where)))

    @strawberry.federation.field(authenticated=True)
    async def pledges(
        self, info: Info, first: int | None = 20, after: str | None = strawberry.UNSET
    ) -> PledgeConnection | None:
        user_id = self._own(info)
        if user_id is None:
            return None
        return await pledge_page(info, first, after or None, pledges.c.backer_id == user_id)

    def _own(self, info: Info) -> str | None:
        """The user's id if it is the caller's own."""
        user_id = local("User", self.id)
        return user_id if user_id == info.context.identity.user_id else None


@strawberry.type(directives=[INHERITED])
class ProjectEdge:
    cursor: str
    node: Project


@strawberry.type
class ProjectConnection:
    edges: list[ProjectEdge]
    page_info: PageInfo
    count: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self) -> int | None:
        return int(await self.count())


@strawberry.type
class PledgeEdge:
    cursor: str
    node: Pledge


@strawberry.type
class PledgeConnection:
    edges: list[PledgeEdge]
    page_info: PageInfo
    count: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self) -> int | None:
        return int(await self.count())


@strawberry.type
class CommentEdge:
    cursor: str
    node: Comment


@strawberry.type
class CommentConnection:
    edges: list[CommentEdge]
    page_info: PageInfo
    count: strawberry.Private[Any]

    @strawberry.field
    async def total_count(self) -> int | None:
        return int(await self.count())


@strawberry.type
class ProjectPostEdge:
    cursor: str
    node: ProjectPost


@strawberry.type
class ProjectPostConnection:
    edges: list[ProjectPostEdge]
    page_info: PageInfo


def connection_of(page: Page[Any], count: Any) -> ProjectConnection:
    edges = [ProjectEdge(cursor=cursor, node=Project.of(row)) for row, cursor in _pairs(page)]
    return ProjectConnection(edges=edges, page_info=page.info, count=count)


async def pledge_page(info: Info, first: int | None, after: str | None, where: Any) -> PledgeConnection:
    page = await info.context.newest_first(pledges, "id", first, after, where)
    edges = [PledgeEdge(cursor=cursor, node=Pledge.of(row)) for row, cursor in _pairs(page)]
    return PledgeConnection(
        edges=edges, page_info=page.info, count=lambda: info.context.loaders.count(counting(pledges, where))
    )


async def comment_page(info: Info, first: int | None, after: str | None, where: Any) -> CommentConnection:
    page = await info.context.oldest_first(comments, "id", first, after, where)
    edges = [CommentEdge(cursor=cursor, node=Comment.of(row)) for row, cursor in _pairs(page)]
    return CommentConnection(
        edges=edges, page_info=page.info, count=lambda: info.context.loaders.count(counting(comments, where))
    )


def _pairs(page: Page[Any]) -> Sequence[tuple[Any, str]]:
    return list(zip(page.rows, page.cursors, strict=True))


def _id(type_name: str, ulid: str) -> strawberry.ID:
    return strawberry.ID(global_id(type_name, ulid))


def local(type_name: str, given: Any) -> str | None:
    """The ULID in an id of this type; None if it is not one."""
    found = parse_id(given) if isinstance(given, str) else None
    return found[1] if found and found[0] == type_name else None
