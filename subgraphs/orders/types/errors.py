"""How a refusal looks in the graph."""

from __future__ import annotations

import strawberry

from subgraphs.kit.errors import Rejected, RejectedTogether, reasons
from subgraphs.orders.types.enums import UserErrorCode


@strawberry.interface
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.federation.type(shareable=True)
class InputError(UserError):
    pass


def errors_of(refused: Rejected | RejectedTogether) -> list[UserError]:
    """What the caller is told of a refusal."""
    return [
        InputError(code=UserErrorCode(reason.code), message=reason.message, field=reason.field)
        for reason in reasons(refused)
    ]
