"""The provider's codes of banks and card companies."""

from __future__ import annotations

from datetime import timedelta, timezone

SEOUL = timezone(timedelta(hours=9), "KST")
"""Korea keeps no summer time; the provider reads instants without an offset as Korean ones."""

BANKS = {
    "39": "경남은행",
    "34": "광주은행",
    "06": "KB국민은행",
    "03": "IBK기업은행",
    "11": "NH농협은행",
    "31": "iM뱅크(대구)",
    "32": "부산은행",
    "02": "한국산업은행",
    "45": "새마을금고",
    "64": "산림조합",
    "07": "Sh수협은행",
    "88": "신한은행",
    "48": "신협",
    "27": "씨티은행",
    "20": "우리은행",
    "71": "우체국예금보험",
    "50": "저축은행중앙회",
    "37": "전북은행",
    "35": "제주은행",
    "90": "카카오뱅크",
    "89": "케이뱅크",
    "92": "토스뱅크",
    "81": "하나은행",
    "54": "홍콩상하이은행",
    "23": "SC제일은행",
}
"""Banks to refund to, by code."""

DEPOSIT_BANKS = frozenset({"39", "34", "06", "03", "11", "31", "32", "45", "07", "88", "20", "71", "37", "81"})
"""Banks that issue virtual accounts."""

ISSUERS = {
    "3K": "기업비씨",
    "46": "광주카드",
    "71": "롯데카드",
    "30": "산업카드",
    "31": "비씨카드",
    "51": "삼성카드",
    "38": "새마을카드",
    "41": "신한카드",
    "62": "신협카드",
    "36": "씨티카드",
    "33": "우리카드",
    "37": "우체국카드",
    "39": "저축카드",
    "35": "전북카드",
    "42": "제주카드",
    "15": "카카오뱅크",
    "3A": "케이뱅크",
    "24": "토스뱅크",
    "21": "하나카드",
    "61": "현대카드",
    "11": "국민카드",
    "91": "농협카드",
    "34": "수협카드",
}
"""Card companies, by code."""
