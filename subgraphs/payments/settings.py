"""Settings of the payments subgraph. Each is an environment variable with the prefix ``DURE_PAYMENTS_``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The provider, and how patiently it is asked."""

    model_config = SettingsConfigDict(env_prefix="DURE_PAYMENTS_", extra="ignore")

    provider: Literal["toss", "stripe"] = Field(
        default="toss",
        description="Who takes the payments: Toss Payments or Stripe (docs/how-to/payment-provider.md).",
    )
    finishing: bool = Field(
        default=False,
        description="The workers only end what was begun at this provider, and take nothing new: beside the shop's own "
        "workers, after it changed to another provider.",
    )
    provider_url: str = Field(default="http://127.0.0.1:4090", description="Base URL of the payment provider's API.")
    provider_secret_key: SecretStr = Field(default=SecretStr("test_sk_dure"), description="The provider's secret key.")
    provider_client_key: str = Field(
        default="test_ck_dure", description="The provider's public key, which its window in the browser is opened with."
    )
    provider_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Stripe: signing secret of the webhook endpoint; while it is rolled both, comma-separated. Toss "
        "signs nothing.",
    )
    provider_connect_seconds: float = Field(default=2.0, description="Time limit to connect to the provider.")
    provider_timeout_seconds: float = Field(default=10.0, description="Time limit of a call to the provider.")
    encryption_keys: SecretStr | None = Field(
        default=None,
        description="Fernet keys for what is kept encrypted, comma-separated: the first encrypts, all decrypt. "
        "None: a key is generated in the data folder, for development only.",
    )
    charge_concurrency: int = Field(default=256, ge=1, description="Provider calls that the workers make at once.")
    poll_seconds: float = Field(default=1.0, description="How often the workers look for work nobody woke them for.")
    lease_seconds: float = Field(
        default=30.0, description="How long a worker owns a payment: longer than its provider calls can take."
    )
    retry_seconds: float = Field(default=1.0, description="First pause after an unclear answer; doubles up to 30 s.")
    settle_seconds: float = Field(
        default=60.0, description="A call unanswered for this long that the provider does not know of never happened."
    )
    max_attempts: int = Field(
        default=5, ge=1, description="Charges tried, each known to have failed, before giving up."
    )
    deposit_look_seconds: float = Field(
        default=60.0, description="First look for a deposit that no webhook told of; the pauses then grow."
    )
    deposit_hours: int = Field(default=72, ge=1, le=2160, description="Hours that a virtual account takes deposits.")
    reconcile_hours: float = Field(
        default=24.0,
        gt=0,
        description="Pause between two comparisons with the provider's transactions, in hours; the first is ten "
        "minutes after the start.",
    )
    commission_basis_points: int = Field(
        default=1000, ge=0, le=10_000, description="Commission on a seller's line, frozen at the sale (1000: 10 %)."
    )
    commission_tax_basis_points: int = Field(
        default=1000, ge=0, le=10_000, description="Value added tax on commissions, frozen with a sale (1000: 10 %)."
    )
    bookkeeping_seconds: float = Field(
        default=5.0, gt=0, description="Pause of the bookkeeper, who works out what sales and refunds earned sellers."
    )
    bookkeeping_delay_seconds: float = Field(
        default=30.0,
        ge=0,
        description="How old a booking is before the bookkeeper takes it: longer than any transaction takes and than "
        "the clocks of two machines differ.",
    )
    payout_url: str | None = Field(
        default=None, description="Base URL of who pays sellers out. None: the payment provider (Toss Payments does)."
    )
    payout_secret_key: SecretStr | None = Field(
        default=None, description="The secret key there. None: the payment provider's."
    )
    payout_look_seconds: float = Field(
        default=5.0, gt=0, description="First look at how a payout stands; the pauses double, up to an hour."
    )
