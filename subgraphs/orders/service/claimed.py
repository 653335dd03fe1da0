"""Orders on claims of flash sales: the copy of a claim gives the price, once, to the customer whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.events.products import StockClaimed, StockClaimReleased
from subgraphs.kit.copies import keep
from subgraphs.kit.errors import Rejected
from subgraphs.orders import models
from subgraphs.orders.domain.placing import MISSING, Line
from subgraphs.orders.service.copies import Facts

FIELD = ["input", "claimId"]


class OnClaim(Protocol):
    """What is looked at of a wish to order."""

    @property
    def buyer_id(self) -> str: ...
    @property
    def claim_id(self) -> str | None: ...
    @property
    def lines(self) -> Sequence[Line]: ...


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims by id, locked, and those of them that have their order."""

    rows: Mapping[str, Row[Any]]
    used: frozenset[str]


async def keep_claims(tx: AsyncConnection, told: Sequence[StockClaimed | StockClaimReleased]) -> None:
    """The newest news of each claim."""
    await keep(tx, models.claims, told, _row)


async def lock(tx: AsyncConnection, claim_ids: Iterable[str | None]) -> Claims:
    """The claims, locked until the orders on them are written: of two orders on one claim the second sees the first."""
    wanted = sorted({each for each in claim_ids if each})
    if not wanted:
        return Claims({}, frozenset())
    query = select(models.claims).where(models.claims.c.claim_id.in_(wanted)).order_by(models.claims.c.claim_id)
    rows = {row.claim_id: row for row in await tx.execute(query.with_for_update())}
    ordered = select(models.orders.c.claim_id).where(models.orders.c.claim_id.in_(wanted))
    return Claims(rows, frozenset((await tx.execute(ordered)).scalars()))


def priced(command: OnClaim, facts: Facts, claims: Claims, taken: Iterable[str], now: datetime) -> Facts:
    """The facts with the claim's price in place of the variant's; as they are for an order without a claim.

    Raises Rejected: NOT_FOUND for a claim that is not the buyer's, CLAIM_EXPIRED for one that has ended or been used,
    INVALID when the lines are not what was claimed.
    """
    if command.claim_id is None:
        return facts
    claim = claims.rows.get(command.claim_id)
    if claim is None or claim.user_id != command.buyer_id:
        raise Rejected("NOT_FOUND", "You have no such claim.", FIELD, {MISSING: [] if claim else [command.claim_id]})
    if command.claim_id in claims.used or command.claim_id in taken:
        raise Rejected("CLAIM_EXPIRED", "This claim has its order already.", FIELD)
    if claim.released or claim.expires_at <= now:
        raise Rejected("CLAIM_EXPIRED", "The claim has run out: its units are for others now.", FIELD)
    if [(line.variant_id, line.quantity) for line in command.lines] != [(claim.variant_id, claim.quantity)]:
        raise Rejected("INVALID", "The lines are not what was claimed.", ["input", "lines"])
    variant = facts.variants.get(claim.variant_id)
    if variant is None:
        return facts
    at_sale = replace(variant, price=claim.unit_price, currency=claim.currency, purchase_limit=None)
    return replace(facts, variants={**facts.variants, claim.variant_id: at_sale})


def _row(event: StockClaimed | StockClaimReleased) -> dict[str, Any]:
    return {
        "claim_id": event.claim_id,
        "version": event.version,
        "user_id": event.user_id,
        "variant_id": event.variant_id,
        "quantity": event.quantity,
        "unit_price": event.unit_price,
        "currency": event.currency,
        "expires_at": event.expires_at,
        "released": isinstance(event, StockClaimReleased),
    }
