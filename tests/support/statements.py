"""Which statements a database is asked, whatever way they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from db import reads
from db.session import Database


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

    engines = {database._writer.sync_engine, database._reader.sync_engine}
    quick = reads._Connection.ask
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads._Connection, "ask", ask)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)
