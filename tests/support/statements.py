"""Which statements a database is asked, whatever way they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from db import reads
from db.session import Database
from db.sqlite import WriterConnection


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """The texts of all statements, but those that begin and end transactions, that come while the block runs."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "COMMIT")):
            seen.append(statement)

    def ask(connection: Any, text: str, parameters: Any) -> Any:
        if connection is reads._CONNECTIONS.get(database):
            seen.append(text)
        return quick(connection, text, parameters)

    def write(connection: WriterConnection, sql: str, parameters: Any) -> Any:
        seen.append(sql)
        return prepared(connection, sql, parameters)

    engines = {database._writer.sync_engine, database._reader.sync_engine}
    quick, prepared = reads._Connection.ask, WriterConnection.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads._Connection, "ask", ask)
        patch.setattr(WriterConnection, "run", write)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)
