"""The migrations make what the models say, on every database."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from db.migrate import downgrade, upgrade
from db.session import Database
from subgraphs.funding.app import MIGRATIONS
from subgraphs.funding.models import Base


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


async def test_the_migrated_schema_is_the_models(database_url: str) -> None:
    await upgrade(database_url, MIGRATIONS)
    async with Database(database_url) as database, database.transaction() as tx:
        assert await tx.run_sync(differences) == []


async def test_migrations_can_be_taken_back(database_url: str) -> None:
    await upgrade(database_url, MIGRATIONS)
    await downgrade(database_url, MIGRATIONS, "base")
    await upgrade(database_url, MIGRATIONS)
    async with Database(database_url) as database, database.transaction() as tx:
        assert await tx.run_sync(differences) == []
