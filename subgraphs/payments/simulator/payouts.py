"""What the provider does with payouts to sellers: takes them, and has paid them when it is asked about them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date
from typing import Any

from subgraphs.payments.simulator.faults import Refused
from subgraphs.payments.simulator.store import Store

BAD_ACCOUNT = "0000"
"""Accounts that end so do not take money: the payout is accepted, and then fails."""


class PayoutBooks:
    """The rules over a store. Raises Refused; whoever calls has opened the transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A payout is asked for under a reference that no other has."""
        reference, destination, amount = body.get("refPayoutId"), body.get("destination"), body.get("amount")
        if not isinstance(reference, str) or not reference:
            raise Refused("INVALID_REQUEST")
        if not isinstance(destination, Mapping) or not all(
            isinstance(destination.get(name), str) and destination[name]
            for name in ("bankCode", "accountNumber", "holderName")
        ):
            raise Refused("INVALID_DESTINATION")
        value = amount.get("value") if isinstance(amount, Mapping) else None
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise Refused("INVALID_AMOUNT")
        try:
            date.fromisoformat(str(body.get("payoutDate")))
        except ValueError:
            raise Refused("INVALID_REQUEST") from None
        if self._store.payout(reference) is not None:
            raise Refused("DUPLICATED_REF_PAYOUT_ID")
        payout = {
            "id": f"FPA_{secrets.token_hex(12)}",
            "refPayoutId": reference,
            "destination": dict(destination),
            "amount": dict(amount or {}),
            "payoutDate": body["payoutDate"],
            "status": "REQUESTED",
            "error": None,
        }
        self._store.put_payout(payout)
        return payout

    def look(self, reference: str) -> dict[str, Any] | None:
        """How it stands: the bank has done what it was asked by now."""
        payout = self._store.payout(reference)
        if payout is not None and payout["status"] == "REQUESTED":
            if payout["destination"]["accountNumber"].endswith(BAD_ACCOUNT):
                error = {"code": "INVALID_ACCOUNT_NUMBER", "message": "계좌번호를 확인해주세요."}
                payout |= {"status": "FAILED", "error": error}
            else:
                payout["status"] = "COMPLETED"
            self._store.put_payout(payout)
        return payout
