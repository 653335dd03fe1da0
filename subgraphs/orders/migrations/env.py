"""Alembic's environment of the orders subgraph."""

from db.migrate import run_environment
from subgraphs.orders.models import Base

run_environment(Base.metadata)
