"""Stripe's signature of a webhook: that it is Stripe's, and was sent just now.

``Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]``: HMAC-SHA256 of ``<t>.<body>`` with the endpoint's secret
(docs.stripe.com/webhooks, "Verify webhook signatures manually"). Other schemes than ``v1`` are not looked at.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

from subgraphs.payments.provider import Forged

TOLERANCE_SECONDS = 300
"""Older ones are replays, younger ones come from a clock that is wrong: Stripe signs each delivery anew."""
MAX_HEADER = 2000


def check(body: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Raises Forged unless one of the secrets signed this body within the last minutes."""
    if not header or len(header) > MAX_HEADER:
        raise Forged
    parts = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not (stamps[0].isascii() and stamps[0].isdigit() and len(stamps[0]) <= 12):
        raise Forged
    if abs(now.timestamp() - int(stamps[0])) > TOLERANCE_SECONDS:
        raise Forged
    signed = stamps[0].encode() + b"." + body
    wanted = [hmac.digest(secret.encode(), signed, "sha256").hex().encode() for secret in secrets]
    if not any(hmac.compare_digest(one, each) for one in wanted for each in given):
        raise Forged
