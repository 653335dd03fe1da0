"""User errors of products as GraphQL types."""

from __future__ import annotations

import enum

import strawberry

from subgraphs.kit.errors import Rejected, RejectedTogether, reasons


@strawberry.enum
class UserErrorCode(enum.Enum):
    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    UNIQUE = "UNIQUE"
    DUPLICATE_PRODUCT = "DUPLICATE_PRODUCT"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    SALE_NOT_OPEN = "SALE_NOT_OPEN"
    SOLD_OUT = "SOLD_OUT"
    PER_CUSTOMER_LIMIT_EXCEEDED = "PER_CUSTOMER_LIMIT_EXCEEDED"
    QUEUE_TICKET_REQUIRED = "QUEUE_TICKET_REQUIRED"
    QUEUE_TICKET_EXPIRED = "QUEUE_TICKET_EXPIRED"
    NOT_PURCHASED = "NOT_PURCHASED"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    VERSION_CONFLICT = "VERSION_CONFLICT"


@strawberry.interface
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.federation.type(shareable=True)
class InputError(UserError):
    pass


@strawberry.federation.type(shareable=True)
class InsufficientStockError(UserError):
    variant_id: strawberry.ID
    available_quantity: int


def errors_of(error: Rejected | RejectedTogether) -> list[UserError]:
    """The refusal as ``userErrors``."""
    return [_error_of(reason) for reason in reasons(error)]


def _error_of(reason: Rejected) -> UserError:
    code = UserErrorCode(reason.code)
    if code is UserErrorCode.INSUFFICIENT_STOCK:
        return InsufficientStockError(
            code=code,
            message=reason.message,
            field=reason.field,
            variant_id=strawberry.ID(reason.extras["variantId"]),
            available_quantity=reason.extras["availableQuantity"],
        )
    return InputError(code=code, message=reason.message, field=reason.field)
