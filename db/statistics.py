"""What PostgreSQL knows of tables that grow fast.

A connection plans a statement once, and plans it anew when the statistics of a table in it change. Autovacuum looks
about once a minute: until then the statements of a young shop, planned when its tables were empty, would read them
from end to end. So a table is looked at again each time it has doubled.
"""

from __future__ import annotations

from sqlalchemy import text

from db.session import Database

EVERY_SECONDS = 2.0
ROWS_AT_LEAST = 100

_GROWN = text(
    "SELECT format('%I.%I', schemaname, s.relname) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid"
    " WHERE s.n_live_tup > :least AND s.n_live_tup > 2 * greatest(c.reltuples, 0)"
).bindparams(least=ROWS_AT_LEAST)
_NO_HURRY = text("SET LOCAL statement_timeout = 0")


async def refresh(database: Database) -> list[str]:
    """Take new statistics of the tables that have doubled since the last ones; their names. PostgreSQL only."""
    async with database.read() as connection:
        grown = list((await connection.execute(_GROWN)).scalars())
    for table in grown:
        async with database.transaction() as tx:
            await tx.execute(_NO_HURRY)
            await tx.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {table}")
    return grown
