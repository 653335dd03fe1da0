"""The event catalogue: every event type, its payload and who tells it."""

from __future__ import annotations

import inspect

from messaging.events import delivery, funding, orders, payments, products, users
from messaging.events.base import EventData

CATALOGUE: dict[str, type[EventData]] = {
    payload.type: payload
    for module in (users, products, funding, orders, payments, delivery)
    for _, payload in inspect.getmembers(module, inspect.isclass)
    if issubclass(payload, EventData) and payload is not EventData
}

__all__ = ["CATALOGUE", "EventData", "delivery", "funding", "orders", "payments", "products", "users"]
