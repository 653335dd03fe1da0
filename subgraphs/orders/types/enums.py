"""The enums of the orders graph."""

from __future__ import annotations

import enum

import strawberry

from subgraphs.orders.domain.states import OrderStatus, StepName, StepStatus
from subgraphs.orders.service.sales import SalesGroup

strawberry.enum(OrderStatus)
strawberry.enum(StepName, name="OrderStepName")
strawberry.enum(StepStatus)
strawberry.enum(SalesGroup)


@strawberry.enum
class OrderSource(enum.Enum):
    CART = "CART"
    BUY_NOW = "BUY_NOW"
    FLASH_SALE = "FLASH_SALE"
    SUBSCRIPTION = "SUBSCRIPTION"


@strawberry.enum
class FulfillmentStatus(enum.Enum):
    UNFULFILLED = "UNFULFILLED"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    FULFILLED = "FULFILLED"


@strawberry.enum
class CartWarningCode(enum.Enum):
    PRICE_CHANGED = "PRICE_CHANGED"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    QUANTITY_REDUCED = "QUANTITY_REDUCED"
    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"


@strawberry.enum
class UserErrorCode(enum.Enum):
    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    PRICE_CHANGED = "PRICE_CHANGED"
    CLAIM_EXPIRED = "CLAIM_EXPIRED"
    CART_EMPTY = "CART_EMPTY"
    ADDRESS_REQUIRED = "ADDRESS_REQUIRED"
    PAYMENT_METHOD_REQUIRED = "PAYMENT_METHOD_REQUIRED"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    ORDER_NOT_CANCELABLE = "ORDER_NOT_CANCELABLE"
    RETURN_WINDOW_CLOSED = "RETURN_WINDOW_CLOSED"
    CYCLE_LOCKED = "CYCLE_LOCKED"
    SKIP_LIMIT_REACHED = "SKIP_LIMIT_REACHED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"


__all__ = [
    "CartWarningCode",
    "FulfillmentStatus",
    "OrderSource",
    "OrderStatus",
    "SalesGroup",
    "StepName",
    "StepStatus",
    "UserErrorCode",
]
