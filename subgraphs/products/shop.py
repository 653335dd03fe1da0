"""What the use cases stand on, and who is looking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row, and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.kit.changes import Changes
from subgraphs.kit.identity import Identity
from subgraphs.products.domain import ProductStatus
from subgraphs.products.flash.gate import Gate, InProcessGate
from subgraphs.products.models import PartnerCopy, PartnerMember
from subgraphs.products.settings import Settings
from subgraphs.products.spelling import Spelling

T = TypeVar("T")
STAFF_SCOPE = "products:review"
"""Who reviews products sees and edits all of them."""

PARTNER = PartnerCopy.__table__
MEMBER = PartnerMember.__table__


@dataclass(frozen=True, slots=True)
class Shop:
    """``wake`` tells the relay that the outbox may have something. ``gate``: the fast path of flash sales."""

    database: Database
    changes: Changes
    settings: Settings
    now: Callable[[], datetime]
    wake: Callable[[], None]
    gate: Gate = field(default_factory=lambda: InProcessGate(5.0))
    spelling: Spelling = field(default_factory=Spelling)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """``work`` in one transaction, then the relay is woken."""
        result = await self.database.run(work)
        self.wake()
        return result

    async def tell_stock(self, variant_ids: Iterable[str]) -> None:
        """Wake those who watch the availability of these variants. After the commit."""
        await self.changes.tell(*(f"variant:{variant_id}" for variant_id in variant_ids))

    async def tell_items(self, items: Mapping[str, str]) -> None:
        """Units of flash sale items (item to sale) came back: the gate reads anew, watchers look. After the commit."""
        for item_id, sale_id in items.items():
            await self.gate.forget(item_id)
            await self.changes.tell(f"flash-items:{sale_id}")


@dataclass(frozen=True, slots=True)
class Viewer:
    """A caller with the sellers that he is a member of, whatever their status."""

    identity: Identity
    partner_ids: frozenset[str] = frozenset()

    @property
    def is_staff(self) -> bool:
        return STAFF_SCOPE in self.identity.scopes

    def owns(self, product: Row[Any]) -> bool:
        """May see the product in any state, edit it (with the scope) and read its stock."""
        return self.is_staff or product.partner_id in self.partner_ids

    def may_see(self, product: Row[Any]) -> bool:
        return product.status == ProductStatus.PUBLISHED.value or self.owns(product)

    def may_refer_to(self, product: Row[Any]) -> bool:
        """Orders and wishlists keep showing what once was public."""
        return product.published_at is not None or self.may_see(product)


PARTNERS_OF = (
    select(MEMBER.c.partner_id)
    .join(PARTNER, and_(PARTNER.c.partner_id == MEMBER.c.partner_id, PARTNER.c.version == MEMBER.c.version))
    .where(MEMBER.c.user_id == bindparam("user_id"))
)
"""The sellers that a user is a member of, as the newest news of each seller has them."""


async def viewer(connection: AsyncConnection, identity: Identity) -> Viewer:
    """The caller with his memberships."""
    if identity.user_id is None:
        return Viewer(identity)
    found = await connection.execute(PARTNERS_OF, {"user_id": identity.user_id})
    return Viewer(identity, frozenset(found.scalars()))
