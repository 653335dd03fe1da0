"""What a request reads: each batch is one statement, however many objects ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import ColumnElement, Row, Select, Table, func, select

from db.reads import Read, by_key
from db.session import Database
from db.statements import after
from subgraphs.funding.domain import RAISED
from subgraphs.funding.models import categories, favorites, pledges, posts, projects, rewards, user_copies
from subgraphs.funding.models import comments as comment_table
from subgraphs.funding.pledging import Pledging
from subgraphs.funding.service import Projects
from subgraphs.funding.talk import Talk
from subgraphs.kit.changes import Changes
from subgraphs.kit.identity import Identity
from subgraphs.kit.pagination import Cursors, Page, page_size

AnyRow = Row[Any]


_REWARDS = by_key(select(rewards).order_by(rewards.c.minimum_amount, rewards.c.id), rewards.c.project_id)


@cache
def _by_key(table: Table, key: str) -> Read:
    return by_key(select(table), table.c[key])


class Loaders:
    """One set a request."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._user_id = identity.user_id or ""
        self.project = self._one(projects, "id")
        self.project_by_slug = self._one(projects, "slug")
        self.category = self._one(categories, "id")
        self.reward = self._one(rewards, "id")
        self.pledge = self._one(pledges, "id")
        self.post = self._one(posts, "id")
        self.comment = self._one(comment_table, "id")
        self.user = self._one(user_copies, "user_id")
        self.rewards_of_project: DataLoader[str, list[AnyRow]] = DataLoader(self._rewards)
        self.is_favorite: DataLoader[str, bool] = DataLoader(self._favorites)
        self.is_backer: DataLoader[str, bool] = DataLoader(self._backers)

    async def rows(self, query: Select[Any]) -> Sequence[AnyRow]:
        async with self._database.read() as connection:
            found: Sequence[AnyRow] = (await connection.execute(query)).all()
            return found

    async def count(self, query: Select[Any]) -> int:
        return int((await self.rows(query))[0][0])

    def _one(self, table: Table, key: str) -> DataLoader[str, AnyRow | None]:
        async def load(ids: list[str]) -> list[AnyRow | None]:
            known = [each for each in ids if "\0" not in each]  # PostgreSQL takes no NUL
            rows = await _by_key(table, key).rows(self._database, keys=known)
            found = {row.loader_key: row for row in rows}
            return [found.get(each) for each in ids]

        return DataLoader(load)

    async def _rewards(self, ids: list[str]) -> list[list[AnyRow]]:
        found: dict[str, list[AnyRow]] = defaultdict(list)
        for row in await _REWARDS.rows(self._database, keys=ids):
            found[row.project_id].append(row)
        return [found[each] for each in ids]

    async def _favorites(self, ids: list[str]) -> list[bool]:
        mine = favorites.c.user_id == self._user_id
        query = select(favorites.c.project_id).where(mine, favorites.c.project_id.in_(ids))
        found = {row.project_id for row in await self.rows(query)}
        return [each in found for each in ids]

    async def _backers(self, ids: list[str]) -> list[bool]:
        standing = pledges.c.status.in_([status.value for status in RAISED])  # who took the pledge back backs no more
        mine = (pledges.c.backer_id == self._user_id) & standing
        query = select(pledges.c.project_id).where(mine, pledges.c.project_id.in_(ids)).distinct()
        found = {row.project_id for row in await self.rows(query)}
        return [each in found for each in ids]


@dataclass(frozen=True, slots=True)
class Context:
    """A request: who asks, what it may do, what it reads."""

    identity: Identity
    projects: Projects
    pledging: Pledging
    talk: Talk
    loaders: Loaders
    cursors: Cursors
    changes: Changes
    now: Callable[[], datetime]

    async def newest_first(
        self, table: Table, key: str, first: int | None, cursor: str | None, *where: ColumnElement[bool]
    ) -> Page[AnyRow]:
        """A page of a table's rows by ``key`` (a ULID column), the newest first."""
        return await self._by(table, key, first, cursor, True, *where)

    async def oldest_first(
        self, table: Table, key: str, first: int | None, cursor: str | None, *where: ColumnElement[bool]
    ) -> Page[AnyRow]:
        """The same, the oldest first."""
        return await self._by(table, key, first, cursor, False, *where)

    async def _by(
        self, table: Table, key: str, first: int | None, cursor: str | None, newest: bool, *where: ColumnElement[bool]
    ) -> Page[AnyRow]:
        size, column, order = page_size(first), table.c[key], f"{table.name}.{key}"
        query = select(table).where(*where)
        if cursor is not None:
            query = query.where(after([column], self.cursors.decode(order, cursor), descending=newest))
        query = query.order_by(column.desc() if newest else column).limit(size + 1)
        rows = await self.loaders.rows(query) if size else []
        return self.cursors.page(order, rows, size, cursor, lambda row: [getattr(row, key)])


def counting(table: Table, *where: ColumnElement[bool]) -> Select[Any]:
    return select(func.count()).select_from(table).where(*where)
