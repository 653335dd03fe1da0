"""The migrated tables are those that the models describe."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from db import migrate
from db.session import Database
from subgraphs.orders.app import MIGRATIONS
from subgraphs.orders.models import Base


async def test_the_migrations_make_what_the_models_describe(database_url: str) -> None:
    await migrate.upgrade(database_url, MIGRATIONS)
    await migrate.upgrade(database_url, MIGRATIONS)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with Database(database_url) as database, database.transaction() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_tables_can_be_taken_away_again(sqlite_database_url: str) -> None:
    await migrate.upgrade(sqlite_database_url, MIGRATIONS)
    await migrate.downgrade(sqlite_database_url, MIGRATIONS, "base")
    await migrate.upgrade(sqlite_database_url, MIGRATIONS)
