"""What must always hold in funding's tables."""

from __future__ import annotations

from sqlalchemy import case, distinct, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.funding.domain import LIVE_PLEDGES, RAISED, PledgeStatus
from subgraphs.funding.models import favorites, pledges, projects, rewards
from subgraphs.kit.subgraph import Violation

_RAISED = pledges.c.status.in_([status.value for status in RAISED])
_LIVE = pledges.c.status.in_([status.value for status in LIVE_PLEDGES])


async def audit(connection: AsyncConnection) -> list[Violation]:
    """Every violation; empty is healthy."""
    return [
        *await _sums(connection),
        *await _units(connection),
        *await _favorites(connection),
        *await _settled_one_way(connection),
    ]


async def _sums(connection: AsyncConnection) -> list[Violation]:
    raised = func.coalesce(func.sum(case((_RAISED, pledges.c.total), else_=0)), 0)
    backers = func.coalesce(func.sum(case((_RAISED, 1), else_=0)), 0)
    query = (
        select(projects.c.id, projects.c.pledged_amount, projects.c.backer_count, raised, backers)
        .outerjoin(pledges, pledges.c.project_id == projects.c.id)
        .group_by(projects.c.id, projects.c.pledged_amount, projects.c.backer_count)
        .having(or_(projects.c.pledged_amount != raised, projects.c.backer_count != backers))
    )
    return [
        Violation(
            "funding.sums", f"project {row[0]} says {row[1]} of {row[2]} backers; pledges say {row[3]} of {row[4]}"
        )
        for row in await connection.execute(query)
    ]


async def _units(connection: AsyncConnection) -> list[Violation]:
    units = func.coalesce(func.sum(case((_LIVE, pledges.c.quantity), else_=0)), 0)
    query = (
        select(rewards.c.id, rewards.c.claimed, units, rewards.c.total_quantity)
        .outerjoin(pledges, pledges.c.reward_id == rewards.c.id)
        .group_by(rewards.c.id, rewards.c.claimed, rewards.c.total_quantity)
        .having(or_(rewards.c.claimed != units, units > rewards.c.total_quantity))
    )
    return [
        Violation("funding.units", f"reward {row[0]} of {row[3]} says {row[1]} claimed; pledges say {row[2]}")
        for row in await connection.execute(query)
    ]


async def _favorites(connection: AsyncConnection) -> list[Violation]:
    counted = func.count(distinct(favorites.c.user_id))
    query = (
        select(projects.c.id, projects.c.favorite_count, counted)
        .outerjoin(favorites, favorites.c.project_id == projects.c.id)
        .group_by(projects.c.id, projects.c.favorite_count)
        .having(projects.c.favorite_count != counted)
    )
    return [
        Violation("funding.favorites", f"project {row[0]} says {row[1]} favourites; there are {row[2]}")
        for row in await connection.execute(query)
    ]


async def _settled_one_way(connection: AsyncConnection) -> list[Violation]:
    """A project that failed or was cancelled holds no promise; one that is still open has released none."""
    ended = projects.c.status.in_(["FAILED", "CANCELED"]) & _LIVE
    going = projects.c.status.in_(["OPEN", "SCHEDULED"]) & (pledges.c.status == PledgeStatus.RELEASED.value)
    query = (
        select(pledges.c.id, pledges.c.status, projects.c.id, projects.c.status)
        .join(projects, projects.c.id == pledges.c.project_id)
        .where(or_(ended, going))
    )
    return [
        Violation("funding.settled_one_way", f"pledge {row[0]} is {row[1]} though project {row[2]} is {row[3]}")
        for row in await connection.execute(query)
    ]
