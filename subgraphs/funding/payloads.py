"""What mutations of funding answer."""

from __future__ import annotations

import strawberry

from subgraphs.funding.errors import UserError
from subgraphs.funding.types import Comment, Pledge, Project, ProjectPost, Reward


@strawberry.type
class ProjectPayload:
    project: Project | None
    user_errors: list[UserError]


@strawberry.type
class RewardPayload:
    reward: Reward | None
    user_errors: list[UserError]


@strawberry.type
class PledgePayload:
    pledge: Pledge | None
    user_errors: list[UserError]


@strawberry.type
class CommentPayload:
    comment: Comment | None
    user_errors: list[UserError]


@strawberry.type
class ProjectPostPayload:
    post: ProjectPost | None
    user_errors: list[UserError]
