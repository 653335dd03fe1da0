"""What e-mails and notifications say, in Korean and English. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from subgraphs.kit.money import to_decimal


class Letter(NamedTuple):
    """Subject (or title) and body."""

    subject: str
    body: str


_Texts = Mapping[str, tuple[Letter, Letter]]  # Korean, English

_ACCOUNT: _Texts = {
    "VERIFY_EMAIL": (
        Letter("이메일 주소를 확인해 주세요", "아래 링크를 열면 가입이 완료됩니다.\n\n{link}\n"),
        Letter("Confirm your e-mail address", "Open this link to confirm your e-mail address.\n\n{link}\n"),
    ),
    "RESET_PASSWORD": (
        Letter(
            "비밀번호 재설정", "30분 안에 아래 링크에서 새 비밀번호를 정해 주세요.\n한 번만 쓸 수 있습니다.\n\n{link}\n"
        ),
        Letter("Reset your password", "Choose a new password here, once, within 30 minutes.\n\n{link}\n"),
    ),
    "PASSWORD_CHANGED": (
        Letter("비밀번호가 변경되었습니다", "본인이 변경하지 않았다면 바로 비밀번호를 재설정해 주세요.\n"),
        Letter("Your password was changed", "If it was not you, reset your password now.\n"),
    ),
    "RECOVER_ID": (
        Letter("가입하신 아이디 안내", "아이디: {masked}\n가입일: {since}\n"),
        Letter("Your account", "You sign in as {masked}, a member since {since}.\n"),
    ),
}

_NOTICES: _Texts = {
    "PAYMENT_COMPLETED": (
        Letter("결제가 완료되었습니다", "{label} {amount} 결제가 완료되었습니다."),
        Letter("Payment completed", "Your payment of {amount} for {label} is complete."),
    ),
    "PAYMENT_FAILED": (
        Letter("결제에 실패했습니다", "{label} 결제가 되지 않았습니다. 청구된 금액은 없습니다."),
        Letter("Payment failed", "The payment for {label} did not go through. Nothing was charged."),
    ),
    "PLEDGE_FAILED": (
        Letter("후원 결제에 실패했습니다", "{label} 결제가 되지 않았습니다. 결제 수단을 확인해 주세요."),
        Letter("Pledge payment failed", "The payment for {label} did not go through. Check your payment method."),
    ),
    "GOAL_MISSED": (
        Letter(
            "후원이 성사되지 않았습니다",
            "‘{title}’ 프로젝트가 목표에 이르지 못해 후원이 끝났습니다. 청구된 금액은 없습니다.",
        ),
        Letter(
            "The goal was not reached", "“{title}” did not reach its goal: your pledge has ended. Nothing was charged."
        ),
    ),
    "PROJECT_UPDATED": (
        Letter("후원하신 프로젝트가 수정되었습니다", "‘{title}’ 프로젝트가 바뀌었습니다: {changed_ko}."),
        Letter("A project you back was changed", "“{title}” was changed: {changed_en}."),
    ),
    "PROJECT_CANCELED": (
        Letter(
            "후원하신 프로젝트가 취소되었습니다",
            "‘{title}’ 프로젝트가 취소되어 후원도 끝났습니다. 청구된 금액은 없습니다. 사유: {reason}",
        ),
        Letter(
            "A project you back was cancelled",
            "“{title}” was cancelled, and your pledge ended. Nothing was charged. Reason: {reason}",
        ),
    ),
    "DEPOSIT_WAITING": (
        Letter("입금을 기다리고 있습니다", "{label} 결제를 완료해 주세요."),
        Letter("Waiting for your payment", "Complete the payment for {label}."),
    ),
    "REFUND_COMPLETED": (
        Letter("환불이 완료되었습니다", "{label} {amount} 환불되었습니다."),
        Letter("Refund completed", "{amount} for {label} was refunded."),
    ),
    "RETURN_APPROVED": (
        Letter("반품이 승인되었습니다", "{label} 반품이 승인되었습니다. 상품을 보내 주세요."),
        Letter("Return approved", "The return of {label} is approved. Please send the goods."),
    ),
    "RETURN_REJECTED": (
        Letter("반품이 거절되었습니다", "{label} 반품이 거절되었습니다. {note}"),
        Letter("Return rejected", "The return of {label} was rejected. {note}"),
    ),
    "SHIPMENT_READY": (
        Letter("출고 준비가 끝났습니다", "{label} 상품이 곧 출발합니다."),
        Letter("Ready to ship", "A parcel of {label} is ready to leave."),
    ),
    "SHIPMENT_DISPATCHED": (
        Letter("상품이 출발했습니다", "{label} 상품이 배송 중입니다."),
        Letter("On its way", "A parcel of {label} is on its way."),
    ),
    "DELIVERED": (
        Letter("배송이 완료되었습니다", "{label} 상품이 도착했습니다."),
        Letter("Delivered", "A parcel of {label} has arrived."),
    ),
    "PURCHASE_CONFIRMATION_REQUESTED": (
        Letter("구매확정을 부탁드립니다", "{label} 상품을 모두 받으셨다면 구매를 확정해 주세요."),
        Letter("Please confirm your purchase", "Everything of {label} has arrived. Please confirm your purchase."),
    ),
    "SETTLEMENT_PAID": (
        Letter("정산금이 입금되었습니다", "{start} ~ {last} 정산금 {amount}이 등록하신 계좌로 입금되었습니다."),
        Letter("Your settlement was paid", "{amount} for {start} to {last} was paid to your bank account."),
    ),
    "PARTNER_APPLICATION_REVIEWED": (
        Letter("입점 신청 심사 결과", "{business}: {decision_ko}. {reason}"),
        Letter("Your partner application was reviewed", "{business}: {decision_en}. {reason}"),
    ),
}

_DECISIONS = {
    "APPROVED": ("승인되었습니다", "approved"),
    "REJECTED": ("반려되었습니다", "rejected"),
    "CHANGES_REQUESTED": ("보완이 필요합니다", "changes requested"),
}


def account_letter(kind: str, locale: str, **facts: str) -> Letter:
    """An e-mail about the account itself."""
    return _fill(_ACCOUNT[kind], locale, facts)


def notice_letter(type: str, locale: str, facts: Mapping[str, str]) -> Letter:
    """A notification: the text of this NotificationType, or GOAL_MISSED for a PLEDGE_FAILED of that kind."""
    return _fill(_NOTICES[type], locale, facts)


def text_of(title: str, body: str) -> str:
    """A notification as a text message."""
    return f"[dure] {title}\n{body}"


def order_label(kind: str, label: str, locale: str) -> str:
    """How an order or pledge is called in a sentence: ``주문 20261121-ABC``."""
    korean = locale.startswith("ko")
    noun = {"Order": ("주문", "order"), "Pledge": ("후원", "your pledge")}[kind][0 if korean else 1]
    return f"{noun} {label}".rstrip()


def amount_text(minor: int, currency: str) -> str:
    """``12,000 KRW``."""
    return f"{to_decimal(minor, currency):,f} {currency}"


def decision_facts(business: str, decision: str, reason: str | None) -> dict[str, str]:
    """The facts of PARTNER_APPLICATION_REVIEWED."""
    korean, english = _DECISIONS[decision]
    return {"business": business, "decision_ko": korean, "decision_en": english, "reason": reason or ""}


_PARTS = {
    "title": ("제목", "title"),
    "summary": ("요약", "summary"),
    "story": ("소개", "story"),
    "category": ("분류", "category"),
    "rewards": ("리워드", "rewards"),
}


def project_facts(title: str, changed: Sequence[str], reason: str | None) -> dict[str, str]:
    """The facts of PROJECT_UPDATED, PROJECT_CANCELED and GOAL_MISSED."""
    names = [_PARTS.get(part, (part, part)) for part in changed]
    korean, english = (", ".join(each) for each in zip(*names, strict=True)) if names else ("", "")
    return {"title": title, "changed_ko": korean, "changed_en": english, "reason": reason or ""}


def _fill(texts: tuple[Letter, Letter], locale: str, facts: Mapping[str, str]) -> Letter:
    chosen = texts[0] if locale.startswith("ko") else texts[1]
    return Letter(chosen.subject.format_map(facts), chosen.body.format_map(facts).rstrip(" "))
