"""Settings of the funding subgraph, environment variables with the prefix ``DURE_FUNDING_``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DURE_FUNDING_", extra="ignore")

    sweep_seconds: float = Field(default=5.0, description="How often projects are opened and closed on time.")
    longest_days: int = Field(default=60, description="A project takes pledges for so many days at most.")
