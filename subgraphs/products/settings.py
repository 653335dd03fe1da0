"""Settings of products. Each is an environment variable with the prefix ``DURE_PRODUCTS_``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator may want to change."""

    model_config = SettingsConfigDict(env_prefix="DURE_PRODUCTS_", extra="ignore")

    reservation_ttl_seconds: int = Field(default=600, gt=0, description="How long units are held for an unpaid order.")
    sweep_every_seconds: float = Field(default=10.0, gt=0, description="How often holds that have ended are released.")
    sweep_batch: int = Field(default=200, gt=0, description="Holds released in one transaction.")
    prune_every_seconds: float = Field(default=3600.0, gt=0, description="How often old outbox, inbox and key rows go.")
    currency: str = Field(default="KRW", description="Currency of the prices that sellers enter.")
    default_shipping_profile_id: str | None = Field(
        default=None,
        description="ULID of the shipping profile of new variants; none: the one named standard, or the first known.",
    )
