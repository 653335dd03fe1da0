"""How the Stripe face misbehaves: by the card's number, or scripted; and what its errors look like."""

from __future__ import annotations

from typing import Any, Final

from subgraphs.payments.simulator.faults import Refused

DECLINED_CARDS: Final = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
    "4000000000009979": "stolen_card",
    "4000000000009987": "lost_card",
    "4000000000006975": "card_velocity_exceeded",
    "4000000000000119": "processing_error",
}
"""Cards that register and then fail when charged, each with its code."""
NEEDS_OWNER: Final = "4000002760003184"
"""A card whose bank wants its owner to be there at each payment."""

CARD_CODES: Final = frozenset({"authentication_required", "expired_card", "incorrect_cvc", "processing_error"})
"""Codes of card errors that have no ``decline_code`` beside them."""
STATUS: Final = {
    "api_error": 500,
    "authentication_error": 401,
    "idempotency_key_in_use": 409,
    "lock_timeout": 429,
    "rate_limit": 429,
    "resource_missing": 404,
}
"""HTTP statuses of codes that are no card's; 400 for the others."""
INVALID: Final = frozenset(
    {
        "amount_too_large",
        "amount_too_small",
        "charge_already_refunded",
        "idempotency_error",
        "idempotency_key_in_use",
        "lock_timeout",
        "parameter_invalid",
        "payment_intent_unexpected_state",
        "rate_limit",
        "refund_too_large",
        "resource_missing",
    }
)
CODES: Final = frozenset({*DECLINED_CARDS.values(), *CARD_CODES, *STATUS, *INVALID})
"""What can be scripted."""


class StripeRefused(Refused):
    """A call that is refused; becomes ``{error: {type, code, ...}}``. ``about``: more of that object."""

    def __init__(self, code: str | None = None, message: str | None = None, **about: Any) -> None:
        self.about = about
        given = code or "api_error"
        super().__init__(given, message or given.replace("_", " ").capitalize() + ".")
        self.status = STATUS.get(given, 400 if given in INVALID else 402)

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, **self.about}
        if self.code in ("api_error", "authentication_error", "idempotency_error"):
            error |= {"type": "invalid_request_error" if self.status == 401 else self.code}
        elif self.status != 402:
            error |= {"type": "invalid_request_error", "code": self.code}
        elif self.code in CARD_CODES:
            error |= {"type": "card_error", "code": self.code}
        else:
            error |= {"type": "card_error", "code": "card_declined", "decline_code": self.code}
        if self.code == "refund_too_large":  # has no code at Stripe: the parameter tells
            del error["code"]
        return {"error": error}
