"""What the charger is given to do, by whoever has claimed a payment for it."""

from __future__ import annotations

from dataclasses import dataclass

from subgraphs.payments.effects import Row


@dataclass(frozen=True, slots=True)
class Job:
    """A payment to attend to. ``attempt``: the call to make or to resolve, None to only look. ``asked_before``: the
    provider may know of it already. ``refusals``: charges known to have failed for passing reasons."""

    payment: Row
    attempt: Row | None = None
    asked_before: bool = True
    refusals: int = 0
    billing_key_sealed: str | None = None
    customer_key: str | None = None
