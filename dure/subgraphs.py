"""The six subgraphs, by name: what ``dure`` needs of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from messaging.events import EventData
from subgraphs.delivery import app as delivery
from subgraphs.funding import app as funding
from subgraphs.orders import app as orders
from subgraphs.payments import app as payments
from subgraphs.products import app as products
from subgraphs.users import app as users


@dataclass(frozen=True, slots=True)
class Entry:
    """``app`` is the subgraph's app module, with its ``build``."""

    app: ModuleType
    migrations: Path
    consumes: Sequence[type[EventData]]


ALL: dict[str, Entry] = {
    module.NAME: Entry(module, module.MIGRATIONS, module.CONSUMES)
    for module in (users, products, funding, orders, payments, delivery)
}
