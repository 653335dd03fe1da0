"""What a client may be told is wrong with its input."""

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
    PROJECT_NOT_OPEN = "PROJECT_NOT_OPEN"
    PROJECT_LOCKED = "PROJECT_LOCKED"
    REWARD_SOLD_OUT = "REWARD_SOLD_OUT"
    REWARD_HAS_PLEDGES = "REWARD_HAS_PLEDGES"
    PLEDGE_NOT_CANCELABLE = "PLEDGE_NOT_CANCELABLE"
    AMOUNT_BELOW_MINIMUM = "AMOUNT_BELOW_MINIMUM"
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


def errors_of(error: Rejected | RejectedTogether) -> list[UserError]:
    return [
        InputError(code=UserErrorCode(each.code), message=each.message, field=each.field) for each in reasons(error)
    ]
