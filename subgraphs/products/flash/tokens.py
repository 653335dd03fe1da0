"""Admission tokens: a signed note that this customer was let into this sale, until when."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

import orjson

from subgraphs.kit.errors import Rejected

FIELD = ["admissionToken"]


class AdmissionTokens:
    """Signs and checks them, with a key of their own made from the shared secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.blake2b(secret.encode(), person=b"admission").digest()

    def issue(self, ticket_id: str, sale_id: str, user_id: str, expires_at: datetime) -> str:
        body = orjson.dumps([ticket_id, sale_id, user_id, int(expires_at.timestamp() * 1000)])
        return f"{_encode(body)}.{_encode(self._sign(body))}"

    def check(self, token: str, sale_id: str, user_id: str, now: datetime) -> str:
        """The ticket's id. Raises Rejected: QUEUE_TICKET_REQUIRED for a token that is not this customer's for this
        sale, QUEUE_TICKET_EXPIRED for one whose time is up."""
        body, _, signature = token[:500].partition(".")
        try:
            content = _decode(body)
            genuine = hmac.compare_digest(_decode(signature), self._sign(content))
        except ValueError:
            genuine = False
        if not genuine:
            raise Rejected("QUEUE_TICKET_REQUIRED", "This is no admission to the sale: enter the line.", FIELD)
        ticket_id, sale, user, expires = orjson.loads(content)
        if (sale, user) != (sale_id, user_id):
            raise Rejected("QUEUE_TICKET_REQUIRED", "This admission is for another sale or customer.", FIELD)
        if expires <= now.timestamp() * 1000:
            raise Rejected("QUEUE_TICKET_EXPIRED", "The admission has run out: enter the line again.", FIELD)
        return str(ticket_id)

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
