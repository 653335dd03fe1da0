"""The invariants of products, recomputed from the tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.kit.subgraph import Violation
from subgraphs.products import models
from subgraphs.products.domain import ReservationState
from subgraphs.products.flash import audit as flash_audit

LEVEL = models.StockLevel.__table__
MOVEMENT = models.StockMovement.__table__
RESERVATION = models.Reservation.__table__
LINE = models.ReservationLine.__table__
PRODUCT = models.Product.__table__
REVIEW = models.Review.__table__


async def audit(connection: AsyncConnection) -> list[Violation]:
    """Every violation; empty is healthy."""
    checks = (
        ("stock.levels_are_not_negative", _negative()),
        ("stock.ledger_explains_levels", _ledger()),
        ("stock.reserved_is_held", _kept(ReservationState.HELD, LEVEL.c.reserved, flash_audit.kept_units())),
        ("stock.allocated_is_committed", _kept(ReservationState.COMMITTED, LEVEL.c.allocated)),
        ("stock.ledger_of_order_matches_state", _orders()),
        ("products.ratings_are_those_of_reviews", _ratings()),
        *flash_audit.checks(),
    )
    violations: list[Violation] = []
    for invariant, query in checks:
        for row in await connection.execute(query.limit(100)):
            detail = ", ".join(f"{key}={value}" for key, value in row._mapping.items())
            violations.append(Violation(invariant, detail))
    return violations


def _negative() -> Select[Any]:
    below = or_(
        LEVEL.c.on_hand < 0,
        LEVEL.c.reserved < 0,
        LEVEL.c.allocated < 0,
        LEVEL.c.on_hand < LEVEL.c.reserved + LEVEL.c.allocated,
    )
    return select(LEVEL.c.variant_id, LEVEL.c.on_hand, LEVEL.c.reserved, LEVEL.c.allocated).where(below)


def _ledger() -> Select[Any]:
    sums = (
        select(
            MOVEMENT.c.variant_id,
            func.sum(MOVEMENT.c.on_hand_delta).label("on_hand"),
            func.sum(MOVEMENT.c.reserved_delta).label("reserved"),
            func.sum(MOVEMENT.c.allocated_delta).label("allocated"),
        )
        .group_by(MOVEMENT.c.variant_id)
        .subquery()
    )
    names = ("on_hand", "reserved", "allocated")
    differs = or_(*(LEVEL.c[name] != func.coalesce(sums.c[name], 0) for name in names))
    told = [func.coalesce(sums.c[name], 0).label(f"ledger_{name}") for name in names]
    joined = LEVEL.outerjoin(sums, sums.c.variant_id == LEVEL.c.variant_id)
    levels = [LEVEL.c.variant_id, LEVEL.c.on_hand, LEVEL.c.reserved, LEVEL.c.allocated]
    return select(*levels, *told).select_from(joined).where(differs)


def _kept(state: ReservationState, column: ColumnElement[Any], *more: Select[Any]) -> Select[Any]:
    """Levels that keep another number of units than the reservations in ``state`` (and ``more``) have."""
    reserved = (
        select(LINE.c.variant_id, LINE.c.quantity.label("units"))
        .join(RESERVATION, RESERVATION.c.order_id == LINE.c.order_id)
        .where(RESERVATION.c.state == state.value)
    )
    every = union_all(reserved, *more).subquery()
    kept = select(every.c.variant_id, func.sum(every.c.units).label("units")).group_by(every.c.variant_id).subquery()
    units = func.coalesce(kept.c.units, 0)
    joined = LEVEL.outerjoin(kept, kept.c.variant_id == LEVEL.c.variant_id)
    return select(LEVEL.c.variant_id, column, units.label("in_reservations")).select_from(joined).where(column != units)


def _orders() -> Select[Any]:
    """Orders whose movements do not end where their reservation says."""
    sums = (
        select(
            MOVEMENT.c.cause_id,
            func.sum(MOVEMENT.c.reserved_delta).label("reserved"),
            func.sum(MOVEMENT.c.allocated_delta).label("allocated"),
        )
        .where(MOVEMENT.c.cause_id.is_not(None))
        .group_by(MOVEMENT.c.cause_id)
        .subquery()
    )
    held, committed = ReservationState.HELD.value, ReservationState.COMMITTED.value
    wrong = or_(
        and_(RESERVATION.c.state == held, or_(sums.c.reserved <= 0, sums.c.allocated != 0)),
        and_(RESERVATION.c.state == committed, or_(sums.c.reserved != 0, sums.c.allocated <= 0)),
        and_(RESERVATION.c.state.not_in([held, committed]), or_(sums.c.reserved != 0, sums.c.allocated != 0)),
    )
    joined = RESERVATION.join(sums, sums.c.cause_id == RESERVATION.c.order_id)
    return (
        select(RESERVATION.c.order_id, RESERVATION.c.state, sums.c.reserved, sums.c.allocated)
        .select_from(joined)
        .where(wrong)
    )


def _ratings() -> Select[Any]:
    sums = (
        select(REVIEW.c.product_id, func.sum(REVIEW.c.rating).label("total"), func.count().label("number"))
        .group_by(REVIEW.c.product_id)
        .subquery()
    )
    total, number = func.coalesce(sums.c.total, 0), func.coalesce(sums.c.number, 0)
    differs = or_(PRODUCT.c.rating_total != total, PRODUCT.c.rating_count != number)
    joined = PRODUCT.outerjoin(sums, sums.c.product_id == PRODUCT.c.id)
    return select(PRODUCT.c.id, PRODUCT.c.rating_total, PRODUCT.c.rating_count).select_from(joined).where(differs)
