"""The use cases of flash sales: set one up, enter, claim; and what goes on by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.batching import GroupCommit
from db.failpoints import failpoint
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.identity import Identity
from subgraphs.kit.ids import global_id, new_ulid
from subgraphs.kit.money import InvalidAmount, to_minor
from subgraphs.products import models, stock
from subgraphs.products.domain import MAX_UNITS, StockMovementType, text_problem
from subgraphs.products.flash import redeem, waiting_room
from subgraphs.products.flash.claims import ClaimUnits, claim_units, close_sales, expire_claims, kept_by_customer
from subgraphs.products.flash.gate import Verdict
from subgraphs.products.flash.line import Lines
from subgraphs.products.flash.models import items, sales
from subgraphs.products.flash.tokens import AdmissionTokens
from subgraphs.products.flash.waiting_room import Entry
from subgraphs.products.purchasable import SOURCE, purchasable_variants
from subgraphs.products.shop import Shop, viewer
from subgraphs.products.stock_ledger import Change, apply, lock_levels

SCOPE = "products:write"
MAX_ITEMS = 20
SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class ItemDraft:
    variant_id: str
    price: Decimal
    quantity: int
    per_customer_limit: int


class FlashSales:
    """Entries and claims that come while a batch is being committed become the next batch."""

    def __init__(self, shop: Shop, tokens: AdmissionTokens) -> None:
        self.shop = shop
        self.tokens = tokens
        self.lines = Lines(shop.database, shop.changes)
        limit = shop.settings.flash_batch
        self._entries: GroupCommit[Entry, str] = GroupCommit(self._enter_batch, limit=limit)
        self._claims: GroupCommit[ClaimUnits, str] = GroupCommit(self._claim_batch, limit=limit)

    async def create(
        self, identity: Identity, name: str, starts_at: datetime, ends_at: datetime, drafts: Sequence[ItemDraft]
    ) -> str:
        """Set units apart for a sale. Raises Rejected, with nothing written."""
        identity.require_scope(SCOPE)
        _check(name, starts_at, ends_at, drafts, self.shop.now())
        sale_id = await self.shop.write(lambda tx: self._create(tx, identity, name, starts_at, ends_at, drafts))
        await self.shop.tell_stock(sorted(draft.variant_id for draft in drafts))
        return sale_id

    async def enter(self, sale_id: str, user_id: str) -> str:
        """The customer's ticket. Raises Rejected."""
        return await self._entries.submit((sale_id, user_id))

    async def claim(self, item_id: str, user_id: str, quantity: int, token: str, key: str) -> str:
        """The id of the customer's claim. Raises Rejected."""
        item = await self._item(item_id)
        ticket_id = self.tokens.check(token, item.sale_id, user_id, self.shop.now())
        if not 1 <= quantity <= item.per_customer_limit:
            message = f"1 to {item.per_customer_limit} a customer."
            raise Rejected("PER_CUSTOMER_LIMIT_EXCEEDED" if quantity > 0 else "INVALID", message, ["quantity"])
        idempotency.check_key(key)
        verdict = await self.shop.gate.take(item_id, user_id, quantity)
        if verdict is Verdict.SOLD_OUT:
            raise Rejected("SOLD_OUT", "Everything is claimed; a unit may come back.", ["quantity"])
        failpoint("products.claim.after_gate")
        if verdict is Verdict.UNKNOWN and await self.shop.gate.begin_filling(item_id):
            async with self.shop.database.read() as connection:
                await self.shop.gate.fill(item_id, *await kept_by_customer(connection, item_id))
        request = idempotency.Request(f"{user_id}:flashSaleClaim", key, [item_id, quantity], new_ulid())
        claim_id = await self._claims.submit(ClaimUnits(item_id, ticket_id, user_id, quantity, request))
        await self.shop.changes.tell(f"flash-items:{item.sale_id}")
        return claim_id

    async def tick(self) -> None:
        """What time brings about: openings, admissions, ends."""
        now = self.shop.now()
        async with self.shop.database.read() as connection:
            open_sales = await waiting_room.running(connection, now)
        for sale_id in open_sales:
            moved = await self.shop.database.run(
                lambda tx, sale_id=sale_id: waiting_room.advance(tx, sale_id, now, self.shop.settings)  # type: ignore[misc]
            )
            if moved:
                await self.shop.changes.tell(f"flash-line:{sale_id}")
        await self._sweep(now)

    async def _sweep(self, now: datetime) -> None:
        back = await self.shop.write(lambda tx: expire_claims(tx, now, SWEEP_BATCH))
        await self.shop.tell_items(back)
        over, variants = await self.shop.write(lambda tx: self._close(tx, now))
        for sale_id in over:
            await self.shop.changes.tell(f"flash-line:{sale_id}")
        await self.shop.tell_stock(variants)

    async def _close(self, tx: AsyncConnection, now: datetime) -> tuple[list[str], list[str]]:
        sale_ids, variants = await close_sales(tx, now, SWEEP_BATCH)
        if sale_ids:
            await waiting_room.leave(tx, sale_ids)
        return sale_ids, variants

    async def _item(self, item_id: str) -> Any:
        async with self.shop.database.read() as connection:
            row = (await connection.execute(select(items).where(items.c.id == item_id))).one_or_none()
        if row is None:
            raise Rejected("NOT_FOUND", "No FlashSaleItem has this id.", ["itemId"])
        return row

    async def _enter_batch(self, entries: Sequence[Entry]) -> Sequence[str | Exception]:
        now = self.shop.now()
        return await self.shop.database.run(lambda tx: waiting_room.enter(tx, entries, now))

    async def _claim_batch(self, commands: Sequence[ClaimUnits]) -> Sequence[str | Exception]:
        now, hold = self.shop.now(), timedelta(seconds=self.shop.settings.flash_hold_seconds)
        results = await self.shop.write(lambda tx: claim_units(tx, commands, now, hold))
        failpoint("products.claim.after_commit")
        for item_id in {c.item_id for c, r in zip(commands, results, strict=True) if isinstance(r, Rejected)}:
            await self.shop.gate.forget(item_id)  # it let through what the ledger refused, or counted it twice
        return results

    async def _create(
        self,
        tx: AsyncConnection,
        identity: Identity,
        name: str,
        starts_at: datetime,
        ends_at: datetime,
        drafts: Sequence[ItemDraft],
    ) -> str:
        now, sale_id = self.shop.now(), new_ulid()
        variants = await self._own_variants(tx, identity, drafts)
        sale = {"id": sale_id, "partner_id": variants[drafts[0].variant_id].partner_id, "name": name}
        times = {"starts_at": starts_at, "ends_at": ends_at, "created_at": now}
        await tx.execute(insert(sales).values(**sale, **times, admission_rate=self.shop.settings.flash_rate_start))
        rows = [_item_row(sale_id, draft, variants[draft.variant_id]) for draft in drafts]
        await tx.execute(insert(items), rows)
        levels = await lock_levels(tx, variants)
        for draft in drafts:
            left = levels[draft.variant_id].available
            if left < draft.quantity:
                extras = {"variantId": global_id("ProductVariant", draft.variant_id), "availableQuantity": max(left, 0)}
                raise Rejected("INSUFFICIENT_STOCK", "There is not so much in stock.", ["items"], extras)
        moves = [
            Change(
                row["variant_id"],
                StockMovementType.RESERVED,
                row["total_quantity"],
                reserved=row["total_quantity"],
                cause_id=row["id"],
                reason="flash sale",
            )
            for row in rows
        ]
        await apply(tx, levels, moves, now)
        return sale_id

    async def _own_variants(
        self, tx: AsyncConnection, identity: Identity, drafts: Sequence[ItemDraft]
    ) -> dict[str, Any]:
        variant, product = models.ProductVariant.__table__, models.Product.__table__
        wanted = [draft.variant_id for draft in drafts]
        query = select(product, variant.c.id.label("variant_id"), variant.c.currency.label("priced_in")).join(
            variant, variant.c.product_id == product.c.id
        )
        found = {row.variant_id: row for row in await tx.execute(query.where(variant.c.id.in_(wanted)))}
        who, on_sale = await viewer(tx, identity), await purchasable_variants(tx, wanted)
        for index, each in enumerate(wanted):
            path = ["items", str(index), "variantId"]
            if each not in found or not who.may_refer_to(found[each]):
                raise Rejected("NOT_FOUND", "No ProductVariant has this id.", path)
            if not who.owns(found[each]):
                raise Rejected("NOT_ALLOWED", "This is another seller's product.", path)
            if each not in on_sale:
                raise Rejected("INVALID", "This is not for sale.", path)
        return found


async def expire_holds(tx: AsyncConnection, shop: Shop) -> tuple[stock.Outcome, dict[str, str]]:
    """Orders' holds that have ended, told to orders; flash sale items that got units, with their sales."""
    outcome, back = await redeem.expire(tx, shop.now(), shop.settings.sweep_batch)
    await record(tx, models.outbox, SOURCE, outcome.answers)
    return outcome, back


def _item_row(sale_id: str, draft: ItemDraft, variant: Any) -> dict[str, Any]:
    try:
        price = to_minor(draft.price, variant.priced_in)
    except InvalidAmount as error:
        raise Rejected("INVALID", str(error), ["items", "salePrice"]) from None
    if price <= 0:
        raise Rejected("INVALID", "A price is more than 0.", ["items", "salePrice"])
    return {
        "id": new_ulid(),
        "sale_id": sale_id,
        "variant_id": draft.variant_id,
        "sale_price": price,
        "currency": variant.priced_in,
        "total_quantity": draft.quantity,
        "remaining": draft.quantity,
        "per_customer_limit": draft.per_customer_limit,
    }


def _check(name: str, starts_at: datetime, ends_at: datetime, drafts: Sequence[ItemDraft], now: datetime) -> None:
    if problem := text_problem(name, at_most=200):
        raise Rejected("INVALID", problem, ["name"])
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise Rejected("INVALID", "Times need an offset.", ["startsAt"])
    if not now <= starts_at < ends_at:
        raise Rejected("INVALID", "A sale starts in the future and ends after that.", ["startsAt"])
    if not 1 <= len(drafts) <= MAX_ITEMS or len({draft.variant_id for draft in drafts}) != len(drafts):
        raise Rejected("INVALID", f"1 to {MAX_ITEMS} different variants.", ["items"])
    for index, draft in enumerate(drafts):
        if not 1 <= draft.quantity <= MAX_UNITS:
            raise Rejected("INVALID", f"1 to {MAX_UNITS} units.", ["items", str(index), "quantity"])
        if not 1 <= draft.per_customer_limit <= 100:
            raise Rejected("INVALID", "1 to 100 a customer.", ["items", str(index), "perCustomerLimit"])
