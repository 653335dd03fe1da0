"""The six subgraphs, by name: what ``dure`` needs of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from strawberry.federation import Schema

from messaging.events import EventData
from subgraphs.delivery import app as delivery
from subgraphs.delivery import schema as delivery_schema
from subgraphs.funding import app as funding
from subgraphs.funding import schema as funding_schema
from subgraphs.orders import app as orders
from subgraphs.orders import schema as orders_schema
from subgraphs.payments import app as payments
from subgraphs.payments import schema as payments_schema
from subgraphs.products import app as products
from subgraphs.products import schema as products_schema
from subgraphs.users import app as users
from subgraphs.users import schema as users_schema


@dataclass(frozen=True, slots=True)
class Entry:
    """``app`` is the subgraph's app module, with its ``build``."""

    app: ModuleType
    schema: Schema
    migrations: Path
    consumes: Sequence[type[EventData]]


ALL: dict[str, Entry] = {
    app.NAME: Entry(app, schema.schema, app.MIGRATIONS, app.CONSUMES)
    for app, schema in (
        (users, users_schema),
        (products, products_schema),
        (funding, funding_schema),
        (orders, orders_schema),
        (payments, payments_schema),
        (delivery, delivery_schema),
    )
}
