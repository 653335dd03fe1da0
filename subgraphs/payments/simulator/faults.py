"""Misbehaviour by order: by the card's number, or scripted for the next calls."""

from __future__ import annotations

from typing import Any, Final

DECLINED_CARDS: Final = {
    "4000000000000002": "REJECT_CARD_COMPANY",
    "4000000000009995": "REJECT_CARD_PAYMENT",
    "4000000000000069": "INVALID_CARD_EXPIRATION",
    "4000000000009979": "INVALID_CARD_LOST_OR_STOLEN",
    "4000000000000119": "CARD_PROCESSING_ERROR",
    "4000000000000101": "INVALID_STOPPED_CARD",
    "4000000000009987": "EXCEED_MAX_AMOUNT",
}
"""Cards that register and then fail when charged, each with its error code."""

STATUS: Final = {
    "UNAUTHORIZED_KEY": 401,
    "FORBIDDEN_REQUEST": 403,
    "REJECT_CARD_PAYMENT": 403,
    "REJECT_CARD_COMPANY": 403,
    "EXCEED_MAX_AMOUNT": 403,
    "NOT_CANCELABLE_PAYMENT": 403,
    "NOT_CANCELABLE_AMOUNT": 403,
    "NOT_MATCHES_CUSTOMER_KEY": 403,
    "NOT_FOUND": 404,
    "NOT_FOUND_PAYMENT": 404,
    "NOT_FOUND_PAYMENT_SESSION": 404,
    "NOT_FOUND_BILLING_KEY": 404,
    "IDEMPOTENT_REQUEST_PROCESSING": 409,
    "FAILED_INTERNAL_SYSTEM_PROCESSING": 500,
    "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING": 500,
}
"""HTTP statuses of error codes; 400 for the others."""

MESSAGES: Final = {
    "REJECT_CARD_PAYMENT": "한도초과 혹은 잔액부족으로 결제에 실패했습니다.",
    "REJECT_CARD_COMPANY": "결제 승인이 거절되었습니다.",
    "INVALID_CARD_EXPIRATION": "카드 정보를 다시 확인해주세요. (유효기간)",
    "INVALID_CARD_LOST_OR_STOLEN": "분실 혹은 도난 카드입니다.",
    "NOT_FOUND_PAYMENT": "존재하지 않는 결제 정보 입니다.",
    "NOT_FOUND_PAYMENT_SESSION": "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.",
    "ALREADY_PROCESSED_PAYMENT": "이미 처리된 결제 입니다.",
    "DUPLICATED_ORDER_ID": "이미 승인 및 취소가 진행된 중복된 주문번호 입니다.",
    "ALREADY_CANCELED_PAYMENT": "이미 취소된 결제 입니다.",
    "UNAUTHORIZED_KEY": "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.",
    "IDEMPOTENT_REQUEST_PROCESSING": "이전 멱등 요청이 처리중입니다.",
    "INVALID_REQUEST": "잘못된 요청입니다.",
}

KINDS: Final = frozenset(
    {
        "timeout_before",  # the call hangs and is never carried out
        "timeout_after",  # the call is carried out and its answer never comes
        "error",  # the call is not carried out and answered with ``code``
        "error_after",  # the call is carried out and answered with ``code``
        "duplicate_webhook",  # the next webhook is sent twice
        "late_webhook",  # the next webhook is sent after ``seconds``
        "lost_webhook",  # the next webhook is never sent
    }
)


class Refused(Exception):
    """A call that the provider refuses; becomes ``{code, message}``."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = STATUS.get(code, 400)
        self.message = message or MESSAGES.get(code, code.replace("_", " ").capitalize())

    @property
    def body(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}
