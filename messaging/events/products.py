"""What the products subgraph tells."""

from __future__ import annotations

from datetime import datetime

import msgspec

from messaging.events.base import EventData


class VariantChanged(EventData, frozen=True, kw_only=True):
    """What an order needs to know of a variant. Not ``purchasable``: not published, or its product withdrawn."""

    type = "dure.products.variant_changed.v1"
    subject = "variant_id"

    variant_id: str
    version: int
    product_id: str
    sku: str
    product_name: str
    variant_name: str
    price: int
    currency: str
    weight_grams: int
    shipping_profile_id: str
    purchasable: bool
    partner_id: str | None = None
    purchase_limit: int | None = None


class ProductChanged(EventData, frozen=True, kw_only=True):
    """What a product's page shows has changed: its texts, state, variants or reviews. Whoever keeps it reads again."""

    type = "dure.products.product_changed.v1"
    subject = "product_id"

    product_id: str


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    variant_id: str
    available: int


class StockReserved(EventData, frozen=True, kw_only=True):
    """Units are held for the order until ``expires_at``."""

    type = "dure.products.stock_reserved.v1"
    subject = "order_id"

    order_id: str
    expires_at: datetime


class StockRejected(EventData, frozen=True, kw_only=True):
    """Nothing is held: at least one line is short."""

    type = "dure.products.stock_rejected.v1"
    subject = "order_id"

    order_id: str
    shortages: tuple[Shortage, ...]


class StockCommitted(EventData, frozen=True, kw_only=True):
    """The held units are sold."""

    type = "dure.products.stock_committed.v1"
    subject = "order_id"

    order_id: str


class StockCommitRejected(EventData, frozen=True, kw_only=True):
    """The hold had ended and could not be taken again."""

    type = "dure.products.stock_commit_rejected.v1"
    subject = "order_id"

    order_id: str
    reason: str


class StockReleased(EventData, frozen=True, kw_only=True):
    """The units are free again: ``reason`` is ``requested`` or ``expired``."""

    type = "dure.products.stock_released.v1"
    subject = "order_id"

    order_id: str
    reason: str


class StockClaimed(EventData, frozen=True, kw_only=True):
    """Units of a flash sale are held for the user at ``unit_price`` until ``expires_at``."""

    type = "dure.products.stock_claimed.v1"
    subject = "claim_id"

    claim_id: str
    version: int
    sale_id: str
    user_id: str
    variant_id: str
    quantity: int
    unit_price: int
    currency: str
    expires_at: datetime


class StockClaimReleased(EventData, frozen=True, kw_only=True):
    """The claim's units are back in the sale: ``reason`` is ``expired`` or ``returned``. It repeats what the claim was,
    for it may overtake StockClaimed."""

    type = "dure.products.stock_claim_released.v1"
    subject = "claim_id"

    claim_id: str
    version: int
    sale_id: str
    user_id: str
    variant_id: str
    quantity: int
    unit_price: int
    currency: str
    expires_at: datetime
    reason: str
