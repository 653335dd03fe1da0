"""How Stripe's refusals are read (docs.stripe.com/error-codes, /declines/codes).

What it could not finish may have happened: ask before trying again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from subgraphs.payments.domain import Declined, Retryable, Unclear

ALREADY = frozenset({"payment_intent_unexpected_state", "charge_already_refunded", "idempotency_key_in_use"})
"""Another call was first, or is being carried out now: its outcome is to be asked for."""
PASSING = frozenset(
    {
        "api_error",
        "balance_insufficient",
        "idempotency_error",
        "issuer_not_available",
        "lock_timeout",
        "processing_error",
        "rate_limit",
        "reenter_transaction",
        "try_again_later",
    }
)
SILENT = frozenset({"fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card", "stolen_card"})
"""Stripe asks that whoever holds the card is not told these."""

_DECLINED = Declined("PAYMENT_DECLINED", "The card company declined.", None, True)
_LIMIT = Declined("LIMIT_EXCEEDED", "The amount is over the limit.", None, True)
_ABSENT = Declined("PAYMENT_DECLINED", "The card's bank wants its owner present: use another card.", None, True)
_REFUSALS: Mapping[str, Declined] = {
    "insufficient_funds": Declined("INSUFFICIENT_FUNDS", "The limit or balance of the card does not do.", None, True),
    "card_velocity_exceeded": _LIMIT,
    "withdrawal_count_limit_exceeded": _LIMIT,
    "amount_too_large": _LIMIT,
    "amount_too_small": Declined("INVALID", "The amount is below what can be paid this way."),
    "expired_card": Declined("CARD_EXPIRED", "The card has expired."),
    "authentication_required": _ABSENT,
    "payment_intent_authentication_failure": _ABSENT,
    "resource_missing": Declined("PAYMENT_DECLINED", "The card cannot be used: register it again."),
    "charge_disputed": Declined("NOT_ALLOWED", "The card company is asked about this payment already."),
}


def read(http_status: int, error: Mapping[str, Any]) -> tuple[str, Declined | Retryable | Unclear]:
    """Its code, and what the ``error`` object of an answer says about a charge or a refund."""
    code = str(error.get("decline_code") or error.get("code") or error.get("type") or f"http_{http_status}")[:100]
    if code in ALREADY:
        return code, Unclear(code)
    if code in PASSING or http_status in (401, 403, 409, 429) or http_status >= 500:
        return code, Retryable(code)
    if code in SILENT:
        return code, Declined("PAYMENT_DECLINED", _DECLINED.message, "card_declined")
    known = _REFUSALS.get(code, _DECLINED)
    return code, Declined(known.code, known.message, code, known.retryable)
