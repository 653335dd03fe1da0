"""Alembic's entry."""

from db.migrate import run_environment
from subgraphs.products.models import Base

run_environment(Base.metadata)
