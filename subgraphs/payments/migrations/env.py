"""Alembic's environment for payments."""

from db.migrate import run_environment
from subgraphs.payments.models import Base

run_environment(Base.metadata)
