"""SQLite's driver: the newest SQLite there is, a third faster than those that come with systems.

Two SQLites in one process undo each other's locks of a file when they close it (sqlite.org/howtocorrupt.html, 2.2.1).
So whoever opens a file of ours takes the driver from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        from pysqlite3 import dbapi2 as sqlite3
    except ImportError:  # not made for this platform
        import sqlite3

__all__ = ["sqlite3"]
