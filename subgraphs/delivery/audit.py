"""What must always hold in delivery's tables."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.delivery.domain import ShipmentStatus
from subgraphs.delivery.models import deliveries, shipment_lines, shipments
from subgraphs.kit.subgraph import Violation


async def audit(connection: AsyncConnection) -> list[Violation]:
    """Every violation; empty is healthy."""
    return [
        *await _accepted_without_shipment(connection),
        *await _canceled_but_going(connection),
        *await _empty_shipments(connection),
        *await _dispatched_without_carrier(connection),
    ]


async def _accepted_without_shipment(connection: AsyncConnection) -> list[Violation]:
    held = select(shipments.c.order_id).where(shipments.c.order_id == deliveries.c.order_id).exists()
    query = select(deliveries.c.order_id).where(deliveries.c.state == "ACCEPTED", ~held)
    return [
        Violation("delivery.accepted_has_shipment", f"order {row.order_id} was accepted and has no shipment")
        for row in await connection.execute(query)
    ]


async def _canceled_but_going(connection: AsyncConnection) -> list[Violation]:
    query = (
        select(shipments.c.id, shipments.c.order_id, shipments.c.status)
        .join(deliveries, deliveries.c.order_id == shipments.c.order_id)
        .where(deliveries.c.state.in_(["CANCELED", "REJECTED"]), shipments.c.status != ShipmentStatus.CANCELED.value)
        .where(shipments.c.direction == "OUTBOUND")
    )
    return [
        Violation(
            "delivery.canceled_stays", f"order {row.order_id} gets no delivery, but shipment {row.id} is {row.status}"
        )
        for row in await connection.execute(query)
    ]


async def _empty_shipments(connection: AsyncConnection) -> list[Violation]:
    query = (
        select(shipments.c.id)
        .outerjoin(shipment_lines, shipment_lines.c.shipment_id == shipments.c.id)
        .where(shipments.c.order_id.is_not(None))
        .group_by(shipments.c.id)
        .having(func.count(shipment_lines.c.order_line_id) == 0)
    )
    return [
        Violation("delivery.shipment_has_lines", f"shipment {row.id} is empty")
        for row in await connection.execute(query)
    ]


async def _dispatched_without_carrier(connection: AsyncConnection) -> list[Violation]:
    query = select(shipments.c.id).where(shipments.c.dispatched_at.is_not(None), shipments.c.tracking_number.is_(None))
    return [
        Violation("delivery.dispatched_is_tracked", f"shipment {row.id} left without a tracking number")
        for row in await connection.execute(query)
    ]
