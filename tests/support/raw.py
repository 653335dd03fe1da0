"""What somebody who stole the database would read."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from db.session import Database


async def dump(database: Database) -> str:
    """Every value of every table, as text."""

    def read(connection: Connection) -> str:
        quote = connection.dialect.identifier_preparer.quote
        tables = inspect(connection).get_table_names()
        return "\n".join(
            f"{name}: {tuple(row)!r}"
            for name in tables
            for row in connection.execute(text(f"SELECT * FROM {quote(name)}"))
        )

    async with database.read() as connection:
        return await connection.run_sync(read)
