"""Alembic, driven from code: every subgraph has its own history and its own version table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from alembic import command, context
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from sqlalchemy import JSON, Connection, MetaData, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from db import engine
from db.columns import UtcDateTime
from db.sealed import Sealed


def _config(migrations: Path, url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


async def upgrade(url: str, migrations: Path) -> None:
    """Bring the database to the newest revision found in ``migrations``. Does nothing when it is there already."""
    await _with_connection(url, lambda connection: _command(connection, command.upgrade, migrations, url, "head"))


async def downgrade(url: str, migrations: Path, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: to nothing)."""
    await _with_connection(url, lambda connection: _command(connection, command.downgrade, migrations, url, revision))


async def revise(url: str, migrations: Path, message: str) -> None:
    """Write a new revision for what the models have and the (migrated) database has not."""

    def run(connection: Connection) -> None:
        config = _config(migrations, url)
        config.attributes["connection"] = connection
        number = 1 + sum(1 for _ in (migrations / "versions").glob("[0-9]*.py"))
        command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04d}")

    await _with_connection(url, run)


def run_environment(metadata: MetaData) -> None:
    """The whole of a subgraph's ``migrations/env.py``."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """Our own column types, imported by their names; False leaves the rest to Alembic."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen.imports.add("from db.columns import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, Sealed):
        return "sa.Text()"
    if kind == "type" and isinstance(item, JSON):
        autogen.imports.add("from db.columns import JsonType")
        return "JsonType"
    return False


async def create_database(url: str) -> None:
    """Create the database named in ``url`` unless it exists. SQLite makes its file by itself."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return
    name = parsed.database
    server = parsed.set(database="postgres" if backend == "postgresql" else "")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    quoted = admin.dialect.identifier_preparer.quote_identifier(name or "")
    options = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if backend in ("mysql", "mariadb") else ""
    try:
        async with admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {quoted}{options}"))
    except DBAPIError as error:
        if not _exists_already(error):
            raise
    finally:
        await admin.dispose()


def _exists_already(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    number = error.orig.args[0] if error.orig and error.orig.args else None
    return state in ("42P04", "23505") or number == 1007


def _let_tables_be_copied(connection: Any, _record: object) -> None:
    """SQLite alters a table by copying and dropping it: others may refer to it meanwhile, and what was in its pages
    must not stay readable in the file."""
    cursor = connection.cursor()
    for pragma in ("foreign_keys=OFF", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise RuntimeError(f"the migration left references to rows that are not there: {broken[:5]}")


def _command(connection: Connection, verb: object, migrations: Path, url: str, revision: str) -> None:
    config = _config(migrations, url)
    config.attributes["connection"] = connection
    assert callable(verb)
    verb(config, revision)


async def _with_connection(url: str, work: object) -> None:
    assert callable(work)
    on_sqlite = make_url(url).get_backend_name() == "sqlite"
    migrator = engine.writer(url) if on_sqlite else create_async_engine(url)
    if on_sqlite:
        event.listen(migrator.sync_engine, "connect", _let_tables_be_copied)
    try:
        async with migrator.begin() as connection:
            await connection.run_sync(work)
            if on_sqlite:
                await connection.run_sync(_check_references)
    finally:
        await migrator.dispose()
