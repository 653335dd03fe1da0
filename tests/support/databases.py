"""Fresh, empty databases on a test's server."""

from __future__ import annotations

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from ulid import ULID

from db.migrate import create_database


def on_server(server_url: str, database_url: str) -> str:
    """The database of ``database_url`` on another server (a replica)."""
    name = make_url(database_url).database
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def fresh_database(server_url: str) -> str:
    """The URL of a new database on a PostgreSQL or MariaDB server."""
    name = f"test_{str(ULID()).lower()}"
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    await create_database(url)
    return url


async def drop_database(url: str) -> None:
    """Drop it, whoever is still connected."""
    parsed = make_url(url)
    on_postgres = parsed.get_backend_name() == "postgresql"
    admin = create_async_engine(parsed.set(database="postgres" if on_postgres else ""), isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {parsed.database}{' WITH (FORCE)' if on_postgres else ''}"))
    await admin.dispose()
