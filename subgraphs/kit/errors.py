"""The ways a request is refused.

``Rejected`` becomes a ``userErrors`` entry: the caller can do something about it. ``AccessDenied`` and ``Unavailable``
become top-level errors. Anything else is our fault and is shown without detail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Rejected(Exception):
    """A command that cannot be done as asked; nothing was changed.

    ``code`` is a ``UserErrorCode`` of the subgraph, ``field`` the path of the input at fault, ``extras`` what a typed
    user error shows besides (``variantId`` and ``availableQuantity`` for INSUFFICIENT_STOCK).
    """

    def __init__(
        self, code: str, message: str, field: Sequence[str] | None = None, extras: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = list(field) if field is not None else None
        self.extras = dict(extras or {})


class RejectedTogether(Exception):
    """Several reasons at once, as one command can have."""

    def __init__(self, reasons: Sequence[Rejected]) -> None:
        super().__init__("; ".join(reason.message for reason in reasons))
        self.reasons = tuple(reasons)


class AccessDenied(Exception):
    """The caller may not do or see this. ``code`` is UNAUTHENTICATED or FORBIDDEN."""

    def __init__(self, code: str = "FORBIDDEN", message: str = "Not allowed.") -> None:
        super().__init__(message)
        self.code = code


class Unavailable(Exception):
    """Something this answer needs does not work right now; trying again later may help."""

    code = "SERVICE_UNAVAILABLE"


def reasons(error: Rejected | RejectedTogether) -> Sequence[Rejected]:
    """The single reasons of either kind of refusal."""
    return error.reasons if isinstance(error, RejectedTogether) else (error,)
