"""Alembic's way in."""

from db.migrate import run_environment
from subgraphs.users.models import Base

run_environment(Base.metadata)
