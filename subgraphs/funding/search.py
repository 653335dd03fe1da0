"""Finding projects: filters, sorts and keyset pages in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from subgraphs.funding.domain import PUBLIC, ProductionStatus, ProjectSort, ProjectStatus, folded
from subgraphs.funding.models import favorites, projects


@dataclass(frozen=True, slots=True)
class Filter:
    """All given fields must hold; an empty list matches nothing, None everything."""

    category_ids: Sequence[str] | None = None
    status: Sequence[ProjectStatus] | None = None
    production_status: Sequence[ProductionStatus] | None = None
    progress_min: int | None = None
    creator_ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    text: str = ""
    wanted: Filter = field(default_factory=Filter)
    sort: ProjectSort = ProjectSort.POPULAR


# For each sort: the column, and whether its largest values come first. The id breaks ties.
_ORDERS: dict[ProjectSort, tuple[ColumnElement[Any], bool]] = {
    ProjectSort.POPULAR: (projects.c.popularity, True),
    ProjectSort.RECOMMENDED: (projects.c.favorite_count, True),
    ProjectSort.NEWEST: (projects.c.published_at, True),
    ProjectSort.ENDING_SOON: (projects.c.closes_at, False),
    ProjectSort.MOST_FUNDED: (projects.c.pledged_amount, True),
}


def page(search: Search, first: int, after: Sequence[Any] | None) -> Select[Any]:
    """The rows of a page, and one more if there is a next."""
    column, descending = _ORDERS[search.sort]
    query = select(projects).where(*_conditions(search))
    if after is not None:
        query = query.where(_beyond(column, descending, after))
    ordered = (column.desc(), projects.c.id.desc()) if descending else (column, projects.c.id)
    return query.order_by(*ordered).limit(first + 1)


def count(search: Search) -> Select[Any]:
    return select(func.count()).select_from(projects).where(*_conditions(search))


def position_of(search: Search, row: Row[Any]) -> list[Any]:
    """The row's place in the order, as a cursor keeps it."""
    column, _ = _ORDERS[search.sort]
    value = row._mapping[column]
    return [value.isoformat() if isinstance(value, datetime) else value, row.id]


def _beyond(column: ColumnElement[Any], descending: bool, after: Sequence[Any]) -> ColumnElement[bool]:
    value, project_id = after
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    further = column < value if descending else column > value
    behind = projects.c.id < project_id if descending else projects.c.id > project_id
    return or_(further, and_(column == value, behind))


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    wanted = search.wanted
    usual = _ENDING if search.sort is ProjectSort.ENDING_SOON else _SHOWN
    shown = [status for status in (wanted.status if wanted.status is not None else usual) if status in PUBLIC]
    conditions: list[ColumnElement[bool]] = [
        projects.c.published_at.is_not(None),
        projects.c.status.in_([status.value for status in shown]),
    ]
    words = folded(search.text).replace("\0", " ").split()[:8]  # PostgreSQL takes no NUL
    conditions += [projects.c.search_text.contains(word, autoescape=True) for word in words]
    if wanted.category_ids is not None:
        conditions.append(projects.c.category_id.in_(wanted.category_ids))
    if wanted.creator_ids is not None:
        conditions.append(projects.c.creator_id.in_(wanted.creator_ids))
    if wanted.production_status is not None:
        names = [status.value for status in wanted.production_status]
        conditions.append(projects.c.production_status.in_(names))
    if wanted.progress_min is not None:
        percent = min(max(wanted.progress_min, 0), MAX_PERCENT)
        conditions.append(projects.c.pledged_amount * 100 >= projects.c.goal_amount * percent)
    return conditions


_SHOWN = (ProjectStatus.SCHEDULED, ProjectStatus.OPEN, ProjectStatus.COLLECTING, ProjectStatus.SUCCEEDED)
"""Without a filter: what can be backed, soon or still, and what succeeded."""

_ENDING = (ProjectStatus.OPEN,)
"""Without a filter, by deadline: what is over does not end soon."""

MAX_PERCENT = 1_000_000
"""More than any project reaches, and a goal's share that still fits 64 bits."""


def recommended(user_id: str | None, first: int) -> Select[Any]:
    """Open projects: those of the categories that the user likes first, then the popular ones."""
    liked = (
        select(projects.c.category_id)
        .join(favorites, favorites.c.project_id == projects.c.id)
        .where(favorites.c.user_id == (user_id or ""))
        .scalar_subquery()
    )
    mine = select(favorites.c.project_id).where(favorites.c.user_id == (user_id or ""))
    return (
        select(projects)
        .where(projects.c.status == "OPEN", projects.c.published_at.is_not(None), projects.c.id.not_in(mine))
        .order_by(projects.c.category_id.in_(liked).desc(), projects.c.popularity.desc(), projects.c.id)
        .limit(first)
    )
