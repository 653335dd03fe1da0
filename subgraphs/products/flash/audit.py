"""The invariants of flash sales, recomputed from the tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select, union_all

from subgraphs.products.flash.domain import KEEPING, ClaimState
from subgraphs.products.flash.models import claims, items
from subgraphs.products.models import StockMovement

MOVEMENT = StockMovement.__table__
_HELD = claims.c.state == ClaimState.HELD.value


def kept_units() -> Select[Any]:
    """By variant, units that a level has reserved for sales: unclaimed ones and those in claims without an order."""
    in_claims = select(items.c.variant_id, claims.c.quantity.label("units")).join(items, items.c.id == claims.c.item_id)
    both = union_all(
        select(items.c.variant_id, items.c.remaining.label("units")),
        in_claims.where(_HELD),
    ).subquery()
    return select(both.c.variant_id, both.c.units)


def checks() -> list[tuple[str, Select[Any]]]:
    """Each with the query that finds what is wrong."""
    return [
        ("flash.units_are_conserved", _conserved()),
        ("flash.customers_keep_to_their_limit", _limits()),
        ("flash.ledger_explains_items", _ledger(items.c.id, items.c.remaining)),
        ("flash.ledger_explains_claims", _ledger(claims.c.id, case((_HELD, claims.c.quantity), else_=0))),
    ]


def _conserved() -> Select[Any]:
    """Units set apart are unclaimed, claimed, or returned to the shop; none is claimed that was not there."""
    taken = (
        select(claims.c.item_id, func.sum(claims.c.quantity).label("units"))
        .where(claims.c.state.in_(KEEPING))
        .group_by(claims.c.item_id)
        .subquery()
    )
    units = func.coalesce(taken.c.units, 0)
    joined = items.outerjoin(taken, taken.c.item_id == items.c.id)
    shown = (items.c.id, items.c.total_quantity, items.c.remaining, items.c.returned, units.label("claimed"))
    wrong = items.c.total_quantity != items.c.remaining + items.c.returned + units
    return select(*shown).select_from(joined).where(or_(wrong, items.c.remaining < 0, items.c.returned < 0))


def _limits() -> Select[Any]:
    units = func.sum(claims.c.quantity)
    query = select(claims.c.item_id, claims.c.user_id, units.label("units")).join(items, items.c.id == claims.c.item_id)
    grouped = query.where(claims.c.state.in_(KEEPING)).group_by(
        claims.c.item_id, claims.c.user_id, items.c.per_customer_limit
    )
    return grouped.having(units > items.c.per_customer_limit)


def _ledger(cause: ColumnElement[Any], keeps: ColumnElement[Any]) -> Select[Any]:
    """Causes whose movements do not add up to the units that they keep."""
    sums = (
        select(MOVEMENT.c.cause_id, func.sum(MOVEMENT.c.reserved_delta).label("units"))
        .where(MOVEMENT.c.cause_id.is_not(None))
        .group_by(MOVEMENT.c.cause_id)
        .subquery()
    )
    units = func.coalesce(sums.c.units, 0)
    joined = cause.table.outerjoin(sums, sums.c.cause_id == cause)
    return select(cause, keeps.label("keeps"), units.label("ledger")).select_from(joined).where(keeps != units)
