"""What other subgraphs ask of payments and tell them: step 2 of an order's saga, its compensation, copies of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.bulk import among, insert_rows
from db.prepared import Prepared
from db.statements import insert_ignore
from messaging.events import EventData
from messaging.events.funding import PledgeCanceled, PledgeReserved
from messaging.events.orders import OrderLineFacts, OrderPlaced, PaymentCancelRequested, PaymentRequested
from messaging.events.payments import PaymentCanceled, PaymentFailed
from messaging.events.users import PartnerChanged
from subgraphs.kit.copies import keep
from subgraphs.kit.ids import new_ulid
from subgraphs.payments import domain
from subgraphs.payments.domain import Declined, MethodKind, MethodStatus, Operation, PaymentStatus, Told
from subgraphs.payments.effects import Effects, Row, being_refunded, state_of, told
from subgraphs.payments.jobs import Job
from subgraphs.payments.models import commissions, customers, methods, partners, payables, payments
from subgraphs.payments.settings import Settings
from subgraphs.payments.vault import Vault

ORDER, PLEDGE = "Order", "Pledge"
PURCHASE = "purchase"
CURRENCY = "KRW"
"""The only currency that the provider charges cards in."""


class Intake:
    """Effects of events, each in the caller's transaction."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault

    async def orders_placed(self, tx: AsyncConnection, facts: Sequence[OrderPlaced]) -> None:
        await self._note_orders(tx, facts)

    async def payments_requested(
        self, tx: AsyncConnection, facts: Sequence[PaymentRequested], now: datetime, room: int = 0
    ) -> list[Job]:
        """Open a payment for each order, or answer again how its payment stands.

        Of those to be charged, ``room`` at most are claimed for the caller, who begins them after the commit; a worker
        finds the others.
        """
        wanted = {each.order_id: each for each in facts if each.amount > 0}
        held = await self._noted(tx, wanted)
        known = {row["payable_id"]: row for row in await payments_of_orders(tx, list(wanted))}
        usable = await self._methods(tx, [each for id, each in wanted.items() if id not in known])
        effects = Effects(self._settings, self._vault, now)
        opened: list[Row] = []
        jobs: list[Job] = []
        for order_id, request in wanted.items():
            row = known.get(order_id)
            if row is None:
                row = self._open(request, held[order_id], usable, now)
                opened.append(row)
                if len(jobs) < room and row["attend_at"] is not None:
                    jobs.append(self._claimed(row, usable[row["payment_method_id"]], effects, now))
            effects.events += answer(row)
        effects.events += [_nothing_to_pay(each) for each in facts if each.amount <= 0]
        await insert_rows(tx, payments, opened)
        await effects.write(tx)
        return jobs

    async def cancels_requested(
        self, tx: AsyncConnection, facts: Sequence[PaymentCancelRequested], now: datetime
    ) -> list[str]:
        """Take back each order's payment, or note that it must never be opened; the ids of payments concerned."""
        wanted = {each.order_id: each for each in facts}
        rows = [_payable(ORDER, order_id) for order_id in sorted(wanted)]
        await insert_ignore(tx, payables, rows)
        held = await _hold(tx, ORDER, list(wanted))
        for order_id, each in wanted.items():
            if held[order_id]["cancel_requested_at"] is None:
                change = update(payables).where(payables.c.type == ORDER, payables.c.id == order_id)
                await tx.execute(change.values(cancel_reason=each.reason[:200], cancel_requested_at=now))
        known = {row["payable_id"]: row for row in await payments_of_orders(tx, list(wanted), lock=True)}
        refunding = await being_refunded(tx, {row["id"]: row for row in known.values()})
        effects = Effects(self._settings, self._vault, now)
        for order_id in wanted:
            row = known.get(order_id)
            if row is None:
                effects.events.append(_never_charged(order_id, held[order_id]))
            else:
                state = state_of(row, refunding=refunding.get(row["id"], 0))
                effects.apply(row, domain.cancel(state))
        await effects.write(tx)
        return [row["id"] for row in known.values()]

    async def pledges_reserved(self, tx: AsyncConnection, facts: Sequence[PledgeReserved]) -> None:
        await keep(
            tx,
            payables,
            facts,
            lambda each: {
                "type": PLEDGE,
                "id": each.pledge_id,
                "version": each.version,
                "owner_id": each.backer_id,
                "total": each.total,
                "currency": each.currency,
                "payment_method_id": each.payment_method_id,
                "withdrawn": False,
            },
        )

    async def pledges_canceled(self, tx: AsyncConnection, facts: Sequence[PledgeCanceled]) -> None:
        await keep(
            tx,
            payables,
            facts,
            lambda each: {
                "type": PLEDGE,
                "id": each.pledge_id,
                "version": each.version,
                "owner_id": each.backer_id,
                "withdrawn": True,
            },
        )

    async def partners_changed(self, tx: AsyncConnection, facts: Sequence[PartnerChanged]) -> None:
        await keep(
            tx,
            partners,
            facts,
            lambda each: {
                "partner_id": each.partner_id,
                "version": each.version,
                "member_ids": list(each.member_ids),
            },
        )

    async def _noted(self, tx: AsyncConnection, wanted: Mapping[str, PaymentRequested]) -> dict[str, Row]:
        """The orders' copies, locked. News of an order may come after its request, or not have come yet."""
        held = await _hold(tx, ORDER, list(wanted))
        unknown = [id for id in wanted if id not in held or held[id]["owner_id"] is None]
        if unknown:
            await self._note_orders(tx, [wanted[id] for id in unknown])
            held |= await _hold(tx, ORDER, unknown)
        return held

    async def _note_orders(self, tx: AsyncConnection, facts: Sequence[OrderPlaced | PaymentRequested]) -> None:
        """Copy whose the orders are and freeze the commission of their lines."""
        wanted = {each.order_id: each for each in facts}
        rows = [_order(each) for _, each in sorted(wanted.items())]
        if await insert_ignore(tx, payables, rows) < len(rows):
            await self._complete(tx, rows)
        frozen = {
            line.order_line_id: self._commission(each, line)
            for each in wanted.values()
            for line in each.lines
            if line.partner_id is not None
        }
        await insert_ignore(tx, commissions, [row for _, row in sorted(frozen.items())])

    async def _complete(self, tx: AsyncConnection, rows: Sequence[Row]) -> None:
        """Say whose the orders are of which the cancellation came first."""
        held = await _hold(tx, ORDER, [row["id"] for row in rows])
        for row in rows:
            if held[row["id"]]["owner_id"] is None:
                about = {name: row[name] for name in ("number", "owner_id", "total", "currency", "payment_method_id")}
                change = update(payables).where(payables.c.type == ORDER, payables.c.id == row["id"])
                await tx.execute(change.values(**about))

    def _commission(self, order: OrderPlaced | PaymentRequested, line: OrderLineFacts) -> Row:
        return {
            "order_line_id": line.order_line_id,
            "order_id": order.order_id,
            "partner_id": line.partner_id,
            "basis_points": self._settings.commission_basis_points,
            "total": line.total,
            "currency": order.currency,
        }

    async def _methods(self, tx: AsyncConnection, requests: Sequence[PaymentRequested]) -> Mapping[str, Row]:
        ids = {each.payment_method_id for each in requests if each.payment_method_id}
        if not ids:
            return {}
        return {row["id"]: row for row in await _METHODS.dicts(tx, ids=sorted(ids))}

    def _open(
        self, request: PaymentRequested, payable: Mapping[str, Any], usable: Mapping[str, Row], now: datetime
    ) -> Row:
        method = usable.get(request.payment_method_id or "")
        mine = method if method is not None and method["user_id"] == request.buyer_id else None
        charged = request.payment_method_id is not None
        row = _NOTHING | {
            "id": new_ulid(),
            "payable_type": ORDER,
            "payable_id": request.order_id,
            "purpose": PURCHASE,
            "payer_id": request.buyer_id,
            "provider": self._settings.provider,
            "provider_order_id": request.order_number,
            "order_name": request.order_name[:100],
            "amount": request.amount,
            "currency": request.currency,
            "status": PaymentStatus.READY.value,
            "version": 1,
            "captured": 0,
            "refunded": 0,
            "captures": 0,
            "cancel_requested": False,
            "attend_at": now if charged else None,
            "tries": 0,
            "payment_method_id": request.payment_method_id,
            "kind": (MethodKind.BILLING_KEY if charged else MethodKind.CARD).value,
            "summary": f"{mine['issuer'] or '카드'} {(mine['masked_number'] or '')[-4:]}".strip() if mine else "",
            "failure_retryable": False,
            "created_at": now,
            "updated_at": now,
        }
        if payable["cancel_requested_at"] is not None:
            return row | {"status": PaymentStatus.CANCELED.value, "cancel_requested": True, "attend_at": None}
        refused = _refused(request, mine, self._settings.provider)
        if refused is None:
            return row
        return row | {
            "status": PaymentStatus.ABORTED.value,
            "attend_at": None,
            "failure_code": refused.code,
            "failure_message": refused.message,
            "failure_retryable": refused.retryable,
        }

    def _claimed(self, row: Row, method: Mapping[str, Any], effects: Effects, now: datetime) -> Job:
        """A payment just opened is its first charge's from the beginning."""
        row["status"] = PaymentStatus.IN_PROGRESS.value
        row["attend_at"] = now + timedelta(seconds=self._settings.lease_seconds)
        row["tries"] = 1
        return Job(
            row,
            effects.attempt(row["id"], Operation.BILLING_CHARGE),
            asked_before=False,
            billing_key_sealed=method["billing_key_sealed"],
            customer_key=method["customer_key"],
        )


_NOTHING: Row = dict.fromkeys(payments.columns.keys())


def answer(row: Mapping[str, Any]) -> list[EventData]:
    """How a payment stands, told to whoever asks again; nothing while a charge is under way."""
    status = PaymentStatus(row["status"])
    if status in domain.CAPTURED:
        return [told(row, Told.CAPTURED)]
    if status is PaymentStatus.CANCELED:
        return [told(row, Told.CANCELED)]
    if status in domain.ENDED_UNPAID:
        return [told(row, Told.FAILED)]
    if status is PaymentStatus.WAITING_FOR_DEPOSIT or (
        status is PaymentStatus.READY and row["payment_method_id"] is None
    ):
        return [told(row, Told.AWAITING)]
    return []


def _refused(request: PaymentRequested, method: Mapping[str, Any] | None, provider: str) -> Declined | None:
    """Why the owner of payment methods will not charge."""
    if request.currency != CURRENCY:
        return Declined("NOT_ALLOWED", f"Payments are in {CURRENCY}.")
    if request.payment_method_id is None:
        return None
    if method is None:
        return Declined("NOT_FOUND", "No payment method of the buyer has this id.")
    if method["status"] == MethodStatus.EXPIRED.value:
        return Declined("CARD_EXPIRED", "The card has expired.")
    if method["status"] != MethodStatus.ACTIVE.value:
        return Declined("NOT_ALLOWED", "The payment method was removed.")
    if method["provider"] != provider:
        return Declined("NOT_ALLOWED", "The shop has another payment provider now: register the card again.")
    return None


_NO_PAYABLE: Row = dict.fromkeys(payables.columns.keys()) | {"version": 1, "withdrawn": False}


def _payable(type: str, id: str, **facts: Any) -> Row:
    return _NO_PAYABLE | {"type": type, "id": id, **facts}


def _order(fact: OrderPlaced | PaymentRequested) -> Row:
    return _payable(
        ORDER,
        fact.order_id,
        number=fact.order_number,
        owner_id=fact.buyer_id,
        total=fact.total if isinstance(fact, OrderPlaced) else fact.amount,
        currency=fact.currency,
        payment_method_id=getattr(fact, "payment_method_id", None),
    )


def _nothing_to_pay(request: PaymentRequested) -> PaymentFailed:
    return PaymentFailed(
        payment_id="",
        payable_type=ORDER,
        payable_id=request.order_id,
        payer_id=request.buyer_id,
        code="INVALID",
        message="There is nothing to pay.",
    )


def _never_charged(order_id: str, payable: Mapping[str, Any]) -> PaymentCanceled:
    return PaymentCanceled(
        payable_type=ORDER,
        payable_id=order_id,
        payer_id=payable["owner_id"],
        refunded=0,
        currency=payable["currency"] or CURRENCY,
    )


_CUSTOMER = select(customers.c.customer_key).where(customers.c.user_id == methods.c.user_id).scalar_subquery()
_METHODS = Prepared(
    select(
        *(methods.c[name] for name in ("id", "user_id", "provider", "status", "issuer", "masked_number")),
        methods.c.billing_key_sealed,
        func.coalesce(methods.c.customer_key, _CUSTOMER).label("customer_key"),
    )
    .where(among(methods.c.id, "ids"))
    .order_by(methods.c.id)
    .with_for_update()
)
_HOLD = Prepared(
    select(payables.c.id, payables.c.owner_id, payables.c.currency, payables.c.cancel_requested_at)
    .where(payables.c.type == bindparam("b_type"), among(payables.c.id, "ids"))
    .order_by(payables.c.id)
    .with_for_update()
)
_THEIRS = (
    select(payments)
    .where(payments.c.payable_type == ORDER, among(payments.c.payable_id, "ids"), payments.c.purpose == PURCHASE)
    .order_by(payments.c.id)
)
_OF_ORDERS = Prepared(_THEIRS)
_OF_ORDERS_LOCKED = Prepared(_THEIRS.with_for_update())


async def _hold(tx: AsyncConnection, type: str, ids: Sequence[str]) -> dict[str, Row]:
    """The payables' copies, locked: a request and its cancellation never miss each other."""
    return {row["id"]: row for row in await _HOLD.dicts(tx, b_type=type, ids=ids)}


async def payments_of_orders(tx: AsyncConnection, order_ids: Sequence[str], *, lock: bool = False) -> list[Row]:
    """The purchases' payments of these orders."""
    return await (_OF_ORDERS_LOCKED if lock else _OF_ORDERS).dicts(tx, ids=order_ids)
