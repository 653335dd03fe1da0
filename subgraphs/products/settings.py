"""Settings of products. Each is an environment variable with the prefix ``DURE_PRODUCTS_``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from subgraphs.kit.media.settings import MediaSettings


class Settings(MediaSettings):
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
    flash_hold_seconds: int = Field(default=600, gt=0, description="How long a claim of a flash sale holds its units.")
    flash_admission_seconds: int = Field(
        default=120, gt=0, description="How long a customer who was let into a flash sale may take to claim."
    )
    flash_rate_start: int = Field(
        default=600, gt=0, description="People let into a flash sale a minute, at its opening."
    )
    flash_rate_least: int = Field(default=60, gt=0, description="The same, however slow the checkout is.")
    flash_rate_most: int = Field(default=6000, gt=0, description="The same, however quick the checkout is.")
    flash_target_seconds: float = Field(
        default=5.0, gt=0, description="From order to payment: slower than this, and fewer are let into a flash sale."
    )
    flash_overbooking_percent: int = Field(
        default=120, ge=100, description="People let in for the units that are left, per cent: some never claim."
    )
    flash_tick_seconds: float = Field(default=0.5, gt=0, description="How often the waiting rooms are looked after.")
    flash_gate_seconds: float = Field(
        default=5.0, gt=0, description="How long the fast path trusts what it read from the ledger."
    )
    media_url: str = Field(
        default="http://127.0.0.1:4000/media", description="Where pictures are shown: the shop's own door, or a CDN."
    )
    flash_batch: int = Field(default=128, gt=0, description="Claims or entries of a flash sale in one transaction.")
