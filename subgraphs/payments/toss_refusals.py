"""How Toss Payments' refusals are read. What it could not finish may have happened: ask before trying again."""

from __future__ import annotations

from subgraphs.payments.domain import Declined, Retryable, Unclear

ALREADY = frozenset({"ALREADY_PROCESSED_PAYMENT", "DUPLICATED_ORDER_ID", "ALREADY_CANCELED_PAYMENT"})
PASSING = frozenset(
    {
        "PROVIDER_ERROR",
        "FAILED_INTERNAL_SYSTEM_PROCESSING",
        "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
        "FAILED_REFUND_PROCESS",
        "CARD_PROCESSING_ERROR",
        "UNAUTHORIZED_KEY",
        "FORBIDDEN_REQUEST",
    }
)
IN_PROCESS = "IDEMPOTENT_REQUEST_PROCESSING"

_REFUSALS: dict[str, Declined] = {
    "REJECT_CARD_PAYMENT": Declined("INSUFFICIENT_FUNDS", "The limit or balance of the card does not do.", None, True),
    "REJECT_ACCOUNT_PAYMENT": Declined("INSUFFICIENT_FUNDS", "The balance of the account does not do.", None, True),
    "REJECT_CARD_COMPANY": Declined("PAYMENT_DECLINED", "The card company declined.", None, True),
    "EXCEED_MAX_AMOUNT": Declined("LIMIT_EXCEEDED", "The amount is over the limit.", None, True),
    "EXCEED_MAX_DAILY_PAYMENT_COUNT": Declined("LIMIT_EXCEEDED", "Too many payments today.", None, True),
    "EXCEED_MAX_PAYMENT_AMOUNT": Declined("LIMIT_EXCEEDED", "The amount is over today's limit.", None, True),
    "INVALID_CARD_EXPIRATION": Declined("CARD_EXPIRED", "The card has expired."),
    "INVALID_CARD_LOST_OR_STOLEN": Declined("CARD_LOST_OR_STOLEN", "The card was reported lost or stolen."),
    "INVALID_STOPPED_CARD": Declined("PAYMENT_DECLINED", "The card is suspended."),
    "NOT_MATCHES_CUSTOMER_KEY": Declined("PAYMENT_DECLINED", "The card cannot be used: register it again."),
    "NOT_FOUND_PAYMENT_SESSION": Declined("INVALID", "The payment window has expired: start again.", None, True),
    "NOT_FOUND_PAYMENT": Declined("NOT_FOUND", "The provider knows no such payment.", None, True),
    "BELOW_MINIMUM_AMOUNT": Declined("INVALID", "The amount is below what can be paid this way."),
    "INVALID_BANK": Declined("INVALID", "This bank issues no virtual accounts.", None, True),
    "NOT_CANCELABLE_AMOUNT": Declined("REFUND_EXCEEDS_BALANCE", "More than is left of the payment."),
    "INVALID_REFUND_ACCOUNT_INFO": Declined("REFUND_ACCOUNT_REQUIRED", "The account to refund to is not valid."),
    "INVALID_REFUND_ACCOUNT_NUMBER": Declined("REFUND_ACCOUNT_REQUIRED", "The account to refund to is not valid."),
    "EXCEED_MAX_REFUND_DUE": Declined("NOT_ALLOWED", "The time for refunds has passed."),
    "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT": Declined("NOT_ALLOWED", "A part cannot be refunded yet."),
    "NOT_CANCELABLE_PAYMENT": Declined("NOT_ALLOWED", "This payment cannot be canceled."),
    "INVALID_AUTH_KEY": Declined("INVALID", "The card registration has expired: start again."),
    "NOT_FOUND_AUTH_KEY": Declined("INVALID", "The card registration has expired: start again."),
}


def refusal(provider_code: str) -> Declined:
    """A refusal in our own codes."""
    known = _REFUSALS.get(provider_code, Declined("PAYMENT_DECLINED", "The payment was declined."))
    return Declined(known.code, known.message, provider_code, known.retryable)


def read(http_status: int, provider_code: str) -> Declined | Retryable | Unclear:
    """What an error answer says about a charge or a cancellation."""
    if provider_code in ALREADY or provider_code == IN_PROCESS:
        return Unclear(provider_code)
    if provider_code in PASSING or http_status >= 500 or http_status == 429:
        return Retryable(provider_code)
    return refusal(provider_code)
