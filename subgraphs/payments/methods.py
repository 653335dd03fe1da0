"""Payment methods of a user: cards registered at the provider, charged later without the buyer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from db.statements import insert_ignore
from messaging.events.payments import PaymentMethodChanged
from messaging.outbox import record
from subgraphs.kit import idempotency
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request
from subgraphs.kit.ids import new_ulid
from subgraphs.payments import models
from subgraphs.payments.domain import Declined, MethodKind, MethodStatus, PaymentStatus
from subgraphs.payments.effects import SOURCE, Row
from subgraphs.payments.models import customers, methods, outbox, payables, payments
from subgraphs.payments.provider import Provider, ProviderError, SavedCard
from subgraphs.payments.transport import NoAnswer
from subgraphs.payments.vault import Vault

MAX_AUTH_KEY, MAX_URL, MAX_METHODS = 300, 2048, 20
_UNFINISHED = tuple(status.value for status in (PaymentStatus.READY, PaymentStatus.IN_PROGRESS, PaymentStatus.UNKNOWN))


@dataclass(frozen=True, slots=True)
class Setup:
    """What the registration window is opened with; ``client_secret`` where the provider wants one."""

    customer_key: str
    client_secret: str | None


class Methods:
    """Commands on methods. Raise Rejected with nothing changed."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        vault: Vault,
        now: Callable[[], datetime],
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._provider = provider
        self._vault = vault
        self._now = now
        self._committed = committed

    async def start_setup(self, user_id: str, return_url: str) -> Setup:
        """What the provider's registration window is opened with."""
        _check_url(return_url)
        customer_key = await self._customer_key(user_id)
        with _told():
            return Setup(customer_key, await self._provider.start_setup(customer_key))

    async def register(self, user_id: str, auth_key: str, as_default: bool, key: str) -> str:
        """Exchange the authKey of the registration window for a method; its id. The first one is the default."""
        idempotency.check_key(key)
        issued = await self._issue(user_id, auth_key, f"{user_id}:{key}")

        async def work(tx: AsyncConnection) -> str:
            body = {"authKey": auth_key, "setAsDefault": as_default}
            request = Request(f"{user_id}:paymentMethodRegister", key, body, new_ulid())
            earlier = await idempotency.claim_one(tx, models.idempotency, request)
            if earlier is not None:
                return str(earlier)
            method_id = await self._add(tx, user_id, issued, as_default)
            await idempotency.answer(tx, models.idempotency, [(request, method_id)])
            return method_id

        return await self._commit(work)

    async def update(self, user_id: str, method_id: str, auth_key: str | None, as_default: bool | None) -> str:
        """Put another card behind a method, or make it the default; its id."""
        issued = await self._issue(user_id, auth_key, f"{user_id}:{method_id}") if auth_key is not None else None

        async def work(tx: AsyncConnection) -> str:
            mine = await _held(tx, user_id)
            if method_id not in mine or mine[method_id]["status"] == MethodStatus.REVOKED.value:
                raise Rejected("NOT_FOUND", "No payment method has this id.", ["id"])
            changes = await self._new_card(tx, issued, method_id) if issued else {}
            if as_default and mine[method_id]["default_of"] is None:
                await self._change(tx, [id for id, row in mine.items() if row["default_of"]], {"default_of": None})
                changes["default_of"] = user_id
            if changes:
                await self._change(tx, [method_id], changes)
            return method_id

        return await self._commit(work)

    async def delete(self, user_id: str, method_id: str) -> str:
        """Revoke a method that nothing unfinished will be charged to; its id. The billing key is forgotten."""

        async def work(tx: AsyncConnection) -> str:
            mine = await _held(tx, user_id)
            if method_id not in mine:
                raise Rejected("NOT_FOUND", "No payment method has this id.", ["id"])
            if mine[method_id]["status"] != MethodStatus.REVOKED.value:
                await _check_unused(tx, user_id, method_id)
                revoked = {
                    "status": MethodStatus.REVOKED.value,
                    "default_of": None,
                    "billing_key_sealed": None,
                    "billing_key_digest": None,
                }
                await self._change(tx, [method_id], revoked)
            return method_id

        return await self._commit(work)

    async def _customer_key(self, user_id: str) -> str:
        query = select(customers.c.customer_key, customers.c.provider).where(customers.c.user_id == user_id)
        async with self._database.read() as connection:
            known = (await connection.execute(query)).first()
        if known is not None and known.provider == self._provider.name:
            return str(known.customer_key)
        made = {"customer_key": await self._new_customer(user_id), "provider": self._provider.name}

        async def work(tx: AsyncConnection) -> str:
            await insert_ignore(tx, customers, [made | {"user_id": user_id, "created_at": self._now()}])
            held = (await tx.execute(query.with_for_update())).one()
            if held.provider == self._provider.name:
                return str(held.customer_key)
            # Cards of the provider before are charged under the name that they were registered with.
            named = update(methods).where(methods.c.user_id == user_id, methods.c.customer_key.is_(None))
            await tx.execute(named.values(customer_key=held.customer_key))
            await tx.execute(update(customers).where(customers.c.user_id == user_id).values(**made))
            return made["customer_key"]

        return await self._database.run(work)

    async def _new_customer(self, user_id: str) -> str:
        with _told():
            return await self._provider.new_customer(user_id)

    async def _issue(self, user_id: str, auth_key: str, scope: str) -> SavedCard:
        if not 1 <= len(auth_key) <= MAX_AUTH_KEY or not auth_key.isprintable():
            raise Rejected("INVALID", f"An authKey has 1 to {MAX_AUTH_KEY} characters.", ["authKey"])
        customer_key = await self._customer_key(user_id)
        key = hashlib.sha256(f"{scope}:{auth_key}".encode()).hexdigest()
        with _told(field="authKey"):
            return await self._provider.issue_billing_key(auth_key, customer_key, key=key)

    async def _add(self, tx: AsyncConnection, user_id: str, issued: SavedCard, as_default: bool) -> str:
        mine = await _held(tx, user_id)
        alive = [row for row in mine.values() if row["status"] != MethodStatus.REVOKED.value]
        if len(alive) >= MAX_METHODS:
            raise Rejected("LIMIT_EXCEEDED", f"At most {MAX_METHODS} payment methods.")
        first = not any(row["default_of"] for row in alive)
        if as_default and not first:
            await self._change(tx, [row["id"] for row in alive if row["default_of"]], {"default_of": None})
        now, method_id = self._now(), new_ulid()
        row = {
            "id": method_id,
            "user_id": user_id,
            "version": 1,
            "kind": MethodKind.BILLING_KEY.value,
            "status": MethodStatus.ACTIVE.value,
            "default_of": user_id if as_default or first else None,
            "created_at": now,
            "updated_at": now,
        }
        await tx.execute(insert(methods), [row | await self._new_card(tx, issued)])
        await announce(tx, [method_id])
        return method_id

    async def _new_card(self, tx: AsyncConnection, issued: SavedCard, method_id: str | None = None) -> Row:
        """The columns of a card that stands behind no other method than this one. Raises Rejected."""
        digest = hashlib.sha256(issued.billing_key.encode()).hexdigest()
        taken = (await tx.execute(select(methods.c.id).where(methods.c.billing_key_digest == digest))).scalar()
        if taken not in (None, method_id):
            raise Rejected("ALREADY_PROCESSED", "This registration has been used.", ["authKey"])
        return {
            "status": MethodStatus.ACTIVE.value,
            "issuer": issued.issuer,
            "masked_number": issued.masked_number[:30],
            "provider": self._provider.name,
            "customer_key": issued.customer_key,
            "billing_key_sealed": self._vault.seal(issued.billing_key),
            "billing_key_digest": digest,
        }

    async def _change(self, tx: AsyncConnection, ids: Sequence[str], changes: dict[str, Any]) -> None:
        statement = update(methods).where(methods.c.id.in_(ids))
        await tx.execute(statement.values(**changes, version=methods.c.version + 1, updated_at=self._now()))
        await announce(tx, ids)

    async def _commit(self, work: Callable[[AsyncConnection], Awaitable[str]]) -> str:
        method_id = await self._database.run(work)
        self._committed()
        return method_id


@contextmanager
def _told(*, field: str | None = None) -> Iterator[None]:
    """What the provider says to a call, as its caller is told it. Raises Rejected."""
    try:
        yield
    except NoAnswer as error:
        raise Rejected("PROVIDER_UNAVAILABLE", "The payment provider does not answer: try again.") from error
    except ProviderError as error:
        refused = error.verdict()
        if isinstance(refused, Declined):
            raise Rejected(refused.code, refused.message, [field] if field else None) from error
        raise Rejected("PROVIDER_UNAVAILABLE", "The payment provider does not work: try again.") from error


async def announce(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """Record PaymentMethodChanged for these methods as they are now."""
    if not ids:
        return
    rows = (await tx.execute(select(methods).where(methods.c.id.in_(ids)).order_by(methods.c.id))).mappings()
    events = [
        PaymentMethodChanged(
            payment_method_id=row["id"],
            version=row["version"],
            user_id=row["user_id"],
            kind=row["kind"],
            summary=summary(row),
            status=row["status"],
            is_default=row["default_of"] is not None,
        )
        for row in rows
    ]
    await record(tx, outbox, SOURCE, events)


def summary(method: Any) -> str:
    """How a method is shown: who issued the card, and its last digits."""
    return f"{method['issuer'] or '카드'} {(method['masked_number'] or '')[-4:]}".strip()


async def _held(tx: AsyncConnection, user_id: str) -> dict[str, Row]:
    """The user's methods; the user's row at the provider is locked, so that they change one command at a time."""
    await tx.execute(select(customers.c.user_id).where(customers.c.user_id == user_id).with_for_update())
    query = select(methods).where(methods.c.user_id == user_id).order_by(methods.c.id).with_for_update()
    return {row["id"]: dict(row) for row in (await tx.execute(query)).mappings()}


async def _check_unused(tx: AsyncConnection, user_id: str, method_id: str) -> None:
    charged = select(payments.c.id).where(
        payments.c.payer_id == user_id,
        payments.c.payment_method_id == method_id,
        payments.c.status.in_(_UNFINISHED),
    )
    pledged = select(payables.c.id).where(
        payables.c.payment_method_id == method_id, payables.c.type == "Pledge", payables.c.withdrawn.is_(False)
    )
    for query in (charged, pledged):
        if (await tx.execute(query.limit(1))).first() is not None:
            raise Rejected("PAYMENT_METHOD_IN_USE", "An unfinished payment or a pledge uses this method.", ["id"])


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > MAX_URL or not url.isprintable():
        raise Rejected("INVALID", "returnUrl is an http(s) URL.", ["returnUrl"])
