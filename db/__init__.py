"""Databases and Redis: engines, transactions, column types, migrations. Knows nothing of events or subgraphs."""
