"""Alembic's environment for this subgraph."""

from db.migrate import run_environment
from subgraphs.funding.models import Base

run_environment(Base.metadata)
