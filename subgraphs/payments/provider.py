"""What a payment provider must be able to do: all that charging, refunding and reconciling know of it.

``toss.py`` and ``stripe.py`` are two; a setting chooses. Amounts are in the currency's minor units (won).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from subgraphs.payments.domain import Declined, Retryable, Unclear, Verdict


class ProviderError(Exception):
    """The provider answered with an error. ``code`` is its own; ``means``: what that says about the call."""

    def __init__(self, status: int, code: str, message: str, means: Declined | Retryable | Unclear) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self._means = means

    def verdict(self) -> Declined | Retryable | Unclear:
        return self._means


class Forged(Exception):
    """A webhook that is not the provider's, or is too old to be sent now."""


class Unreadable(Exception):
    """A webhook that cannot be read."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A webhook says that the payment of ``order_id`` changed: a reason to ask, never the truth.

    ``paid``: it says that the payment is paid. ``secret``: what proves a deposit's hint (``is_deposit``).
    """

    order_id: str
    paid: bool = False
    is_deposit: bool = False
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card of ``customer_key``'s that may be charged again and again with ``billing_key``, which is a secret."""

    billing_key: str
    customer_key: str
    issuer: str | None
    masked_number: str


class ProviderPayment(Protocol):
    """How a payment stands in the provider's books."""

    @property
    def canceled_amount(self) -> int:
        """What has been given back of it."""

    @property
    def last_cancel(self) -> str | None:
        """The provider's reference of the last refund."""

    def verdict(self) -> Verdict:
        """Whether and how the order is paid."""


class ProviderTransaction(Protocol):
    """Money that the provider moved for us."""

    @property
    def order_id(self) -> str: ...

    @property
    def net(self) -> int:
        """What it did to our balance."""


class Provider(Protocol):
    """The calls. They raise NoAnswer (nobody knows whether it was done) or ProviderError (the provider says why not).

    ``key`` makes a call idempotent: repeated with the same key it is carried out once and answered the same. However
    often it is called, with whatever keys, a provider takes the money of an order once.
    """

    @property
    def name(self) -> str:
        """Its webhooks come to ``/webhooks/<name>``."""

    @property
    def issues_accounts(self) -> bool:
        """Whether it issues virtual accounts to deposit into."""

    async def confirm(self, payment_key: str, order_id: str, amount: int, *, key: str) -> ProviderPayment:
        """Execute what the buyer has authenticated in the provider's window, which gave ``payment_key``."""

    async def charge(
        self, billing_key: str, customer_key: str, amount: int, order_id: str, order_name: str, *, key: str
    ) -> ProviderPayment:
        """Charge a saved card without its owner."""

    async def issue_virtual_account(
        self, amount: int, order_id: str, order_name: str, holder: str, bank: str, hours: int, *, key: str
    ) -> ProviderPayment:
        """Only where ``issues_accounts``."""

    async def cancel(
        self, payment_key: str, reason: str, amount: int | None, account: Mapping[str, str] | None, *, key: str
    ) -> ProviderPayment:
        """Give back ``amount`` (None: all that is left), to ``account`` if it was a deposit."""

    async def new_customer(self, user_id: str) -> str:
        """What the provider shall know the user by. Asked again for the same user it may answer anew."""

    async def start_setup(self, customer_key: str) -> str | None:
        """What the browser needs besides the customer's key to open the window that registers a card."""

    async def issue_billing_key(self, auth_key: str, customer_key: str, *, key: str) -> SavedCard:
        """Exchange what that window gave for the card."""

    async def payment_of_order(self, order_id: str, customer_key: str | None = None) -> ProviderPayment | None:
        """How the payment of an order stands, None when there is none. Never older than the calls made before.

        ``customer_key``: whose it is, if a saved card was charged.
        """

    async def payment(self, payment_key: str) -> ProviderPayment | None:
        """The same, by the provider's own key."""

    async def transactions(self, start: datetime, end: datetime) -> Sequence[ProviderTransaction]:
        """All money moved between two instants."""

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> Hint | None:
        """What a webhook hints at; None: nothing of ours. ``headers`` in small letters. Raises Forged, Unreadable."""
