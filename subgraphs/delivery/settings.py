"""Settings of the delivery subgraph, environment variables with the prefix ``DURE_DELIVERY_``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DURE_DELIVERY_", extra="ignore")

    address_limit: int = Field(default=20, description="Addresses that one user can keep.")
