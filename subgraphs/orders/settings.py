"""The settings of the orders subgraph: environment variables with the prefix ``DURE_ORDERS_``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Times are in seconds unless their name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="DURE_ORDERS_", extra="ignore")

    ask_again_after: float = Field(default=30, gt=0, description="How long an asked subgraph may take to answer.")
    reservation_ttl: float = Field(default=600, gt=0, description="How long an order may wait for its payment.")
    sweep_every: float = Field(default=5, gt=0, description="Pause between two looks for what is overdue.")
    auto_confirm_days: float = Field(default=7, ge=0, description="Days from delivery to automatic confirmation.")
    anonymous_cart_days: float = Field(default=30, gt=0, description="Days that an untouched anonymous cart is kept.")
    return_fee: int = Field(
        default=3000, ge=0, description="What a parcel back costs a buyer who changed his mind, in minor units."
    )
    batch: int = Field(default=256, ge=1, le=500, description="Orders placed in one transaction at most.")
