"""GraphQL types of payments."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Union

import strawberry

from subgraphs.kit.errors import Rejected, RejectedTogether, reasons
from subgraphs.kit.ids import global_id, parse_id
from subgraphs.kit.money import InvalidAmount, to_minor
from subgraphs.kit.types import CurrencyCode, Money, Node, money_of
from subgraphs.payments import domain
from subgraphs.payments.banks import BANKS
from subgraphs.payments.domain import (
    AttemptOutcome,
    MethodKind,
    MethodStatus,
    Operation,
    PaymentStatus,
    RefundStatus,
)
from subgraphs.payments.effects import Row
from subgraphs.payments.loaders import Context

Info = strawberry.Info[Context, None]

strawberry.enum(PaymentStatus)
strawberry.enum(MethodKind, name="PaymentMethodKind")
strawberry.enum(MethodStatus, name="PaymentMethodStatus")
strawberry.enum(Operation, name="PaymentOperation")
strawberry.enum(AttemptOutcome)
strawberry.enum(RefundStatus)


@strawberry.enum
class UserErrorCode(enum.Enum):
    INVALID = "INVALID"
    REQUIRED = "REQUIRED"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    ALREADY_PROCESSED = "ALREADY_PROCESSED"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    CARD_EXPIRED = "CARD_EXPIRED"
    CARD_LOST_OR_STOLEN = "CARD_LOST_OR_STOLEN"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    REFUND_EXCEEDS_BALANCE = "REFUND_EXCEEDS_BALANCE"
    REFUND_ACCOUNT_REQUIRED = "REFUND_ACCOUNT_REQUIRED"
    PAYMENT_METHOD_IN_USE = "PAYMENT_METHOD_IN_USE"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    PAYOUT_ACCOUNT_REQUIRED = "PAYOUT_ACCOUNT_REQUIRED"


@strawberry.enum
class PaymentProvider(enum.Enum):
    """Who takes the shop's payments."""

    TOSS = "toss"
    STRIPE = "stripe"


@strawberry.interface
class UserError:
    code: UserErrorCode
    message: str
    field: list[str] | None


@strawberry.federation.type(shareable=True)
class InputError(UserError):
    pass


def errors_of(error: Rejected | RejectedTogether) -> list[UserError]:
    return [
        InputError(code=UserErrorCode(each.code), message=each.message, field=each.field) for each in reasons(error)
    ]


@strawberry.type
class Bank:
    code: str
    name: str

    @staticmethod
    def of(code: str) -> Bank:
        return Bank(code=code, name=BANKS.get(code, code))


@strawberry.type
class VirtualAccount:
    bank: Bank
    account_number: str
    holder_name: str
    due_at: datetime
    deposited_at: datetime | None


@strawberry.type
class PaymentAttempt:
    id: strawberry.ID
    operation: Operation
    outcome: AttemptOutcome
    provider_code: str | None
    provider_reference: str | None
    idempotency_key: str = strawberry.federation.field(inaccessible=True)
    started_at: datetime
    finished_at: datetime | None

    @staticmethod
    def of(row: Row) -> PaymentAttempt:
        return PaymentAttempt(
            id=_id("PaymentAttempt", row["id"]),
            operation=Operation(row["operation"]),
            outcome=AttemptOutcome(row["outcome"] or AttemptOutcome.UNKNOWN),
            provider_code=row["provider_code"],
            provider_reference=row["provider_reference"],
            idempotency_key=row["idempotency_key"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )


@strawberry.type
class PaymentFailure:
    code: str
    message: str
    retryable: bool


Payable = Annotated[
    Union[Annotated["Order", strawberry.lazy(".types")], Annotated["Pledge", strawberry.lazy(".types")]],  # noqa: UP007
    strawberry.union("Payable"),
]


@strawberry.federation.type(keys=["id"], tags=["partner"])
class Payment(Node):
    id: strawberry.ID
    row: strawberry.Private[Row]
    status: PaymentStatus
    amount: Money
    captured_amount: Money
    refunded_amount: Money
    method: MethodKind
    method_summary: str
    receipt_url: str | None
    approved_at: datetime | None
    created_at: datetime

    @strawberry.field
    def payable(self) -> Payable | None:
        id = _id(self.row["payable_type"], self.row["payable_id"])
        return Order(id=id) if self.row["payable_type"] == "Order" else Pledge(id=id)

    @strawberry.field
    def virtual_account(self) -> VirtualAccount | None:
        row = self.row
        if row["account_number"] is None or row["account_due_at"] is None:
            return None
        return VirtualAccount(
            bank=Bank.of(row["account_bank"]),
            account_number=row["account_number"],
            holder_name=row["account_holder"],
            due_at=row["account_due_at"],
            deposited_at=row["deposited_at"],
        )

    @strawberry.field
    async def attempts(self, info: Info) -> list[PaymentAttempt]:
        rows = await info.context.loaders.attempts_of.load(self.row["id"])
        return [PaymentAttempt.of(row) for row in rows]

    @strawberry.field
    async def refunds(self, info: Info) -> list[Refund]:
        return [Refund.of(row) for row in await info.context.loaders.refunds_of.load(self.row["id"])]

    @strawberry.field
    def failure(self) -> PaymentFailure | None:
        code, message = self.row["failure_code"], self.row["failure_message"]
        if code is None:
            return None
        return PaymentFailure(code=code, message=message or "", retryable=self.row["failure_retryable"])

    @staticmethod
    def of(row: Row) -> Payment:
        currency = row["currency"]
        return Payment(
            id=_id("Payment", row["id"]),
            row=row,
            status=PaymentStatus(row["status"]),
            amount=money_of(row["amount"], currency),
            captured_amount=money_of(row["captured"], currency),
            refunded_amount=money_of(row["refunded"], currency),
            method=MethodKind(row["kind"]),
            method_summary=row["summary"],
            receipt_url=row["receipt_url"],
            approved_at=row["approved_at"],
            created_at=row["created_at"],
        )


@strawberry.federation.type(keys=["id"])
class PaymentMethod(Node):
    id: strawberry.ID
    kind: MethodKind
    issuer: str | None
    masked_number: str | None
    is_default: bool
    status: MethodStatus
    created_at: datetime

    @staticmethod
    def of(row: Row) -> PaymentMethod:
        return PaymentMethod(
            id=_id("PaymentMethod", row["id"]),
            kind=MethodKind(row["kind"]),
            issuer=row["issuer"],
            masked_number=row["masked_number"],
            is_default=row["default_of"] is not None,
            status=MethodStatus(row["status"]),
            created_at=row["created_at"],
        )


@strawberry.federation.type(keys=["id"])
class Refund(Node):
    id: strawberry.ID
    row: strawberry.Private[Row]
    amount: Money
    reason: str
    status: RefundStatus
    needs_account: bool = strawberry.field(
        description="It is a deposit's, and waits for the account to go to: `refundAccountSet`."
    )
    created_at: datetime
    completed_at: datetime | None

    @strawberry.field
    async def payment(self, info: Info) -> Payment:
        row = await info.context.loaders.payment.load(self.row["payment_id"])
        if row is None:
            raise LookupError(f"refund {self.row['id']} without its payment")
        return Payment.of(row)

    @staticmethod
    def of(row: Row) -> Refund:
        return Refund(
            id=_id("Refund", row["id"]),
            row=row,
            amount=money_of(row["amount"], row["currency"]),
            reason=row["reason"],
            status=RefundStatus(row["status"]),
            needs_account=row["status"] == RefundStatus.PENDING.value and row["attend_at"] is None,
            created_at=row["created_at"],
            completed_at=row["completed_at"],
        )


@strawberry.federation.type(keys=["id"])
class User:
    id: strawberry.ID

    @strawberry.federation.field(authenticated=True)
    async def payment_methods(self, info: Info) -> list[PaymentMethod] | None:
        rows = await _own_methods(info, self.id)
        return None if rows is None else [PaymentMethod.of(row) for row in rows]

    @strawberry.federation.field(authenticated=True)
    async def default_payment_method(self, info: Info) -> PaymentMethod | None:
        rows = await _own_methods(info, self.id) or []
        return next((PaymentMethod.of(row) for row in rows if row["default_of"] is not None), None)


@strawberry.federation.type(keys=["id"])
class Order:
    id: strawberry.ID
    total: Money = strawberry.federation.field(external=True, default_factory=lambda: money_of(0, "KRW"))

    @strawberry.field
    async def payments(self, info: Info) -> list[Payment] | None:
        rows = await _payments(info, "Order", self.id)
        return None if rows is None else [Payment.of(row) for row in rows]

    @strawberry.field
    async def payment_status(self, info: Info) -> PaymentStatus | None:
        rows = await _payments(info, "Order", self.id)
        return PaymentStatus(rows[-1]["status"]) if rows else None

    @strawberry.federation.field(requires=["total { amount currencyCode }"])
    async def amount_due(self, info: Info) -> Money | None:
        """What is still to be paid: nothing once the payment has ended."""
        rows = await _payments(info, "Order", self.id)
        total = _minor(self.total)
        if rows is None or total is None:
            return None
        captured = sum(row["captured"] for row in rows)
        open_ = all(PaymentStatus(row["status"]) in domain.UNPAID for row in rows)
        return money_of(max(total - captured, 0) if open_ else 0, self.total.currency_code.value)


@strawberry.federation.type(keys=["id"])
class OrderLine:
    id: strawberry.ID
    partner_id: strawberry.ID | None = strawberry.federation.field(external=True, default=None)
    total: Money = strawberry.federation.field(external=True, default_factory=lambda: money_of(0, "KRW"))

    @strawberry.federation.field(
        requires=["partnerId total { amount currencyCode }"],
        requires_scopes=[["partner:self"]],
        tags=["partner"],
    )
    async def commission(self, info: Info) -> Money | None:
        """At the rate frozen at the sale; shown to members of the line's seller."""
        info.context.identity.require_scope("partner:self")
        line_id, total = _local("OrderLine", self.id), _minor(self.total)
        if line_id is None or total is None or self.partner_id is None:
            return None
        frozen = await info.context.loaders.commission.load(line_id)
        if frozen is None or info.context.identity.user_id not in (frozen["member_ids"] or ()):
            return None
        return money_of(domain.commission(total, frozen["basis_points"]), self.total.currency_code.value)


@strawberry.federation.type(keys=["id"])
class Pledge:
    id: strawberry.ID

    @strawberry.field
    async def payments(self, info: Info) -> list[Payment] | None:
        rows = await _payments(info, "Pledge", self.id)
        return None if rows is None else [Payment.of(row) for row in rows]

    @strawberry.federation.field(authenticated=True)
    async def payment_method(self, info: Info) -> PaymentMethod | None:
        pledge_id = _local("Pledge", self.id)
        if pledge_id is None:
            return None
        pledge = await info.context.loaders.payable.load(("Pledge", pledge_id))
        user_id = info.context.identity.user_id
        if pledge is None or pledge["owner_id"] != user_id or pledge["payment_method_id"] is None:
            return None
        row = await info.context.loaders.method.load(pledge["payment_method_id"])
        return PaymentMethod.of(row) if row is not None and row["user_id"] == user_id else None


@strawberry.input
class RefundAccountInput:
    bank_code: str
    account_number: str
    holder_name: str


@strawberry.type
class PaymentMethodSetupPayload:
    customer_key: str | None = None
    client_key: str | None = None
    client_secret: str | None = strawberry.field(
        default=None, description="Stripe: of the SetupIntent that the window confirms; its id is then the `authKey`."
    )
    provider: PaymentProvider | None = strawberry.field(
        default=None, description="Whose window is to be opened with these keys."
    )
    user_errors: list[UserError]


@strawberry.type
class PaymentMethodPayload:
    payment_method: PaymentMethod | None
    user_errors: list[UserError]


@strawberry.type
class PaymentPayload:
    payment: Payment | None
    user_errors: list[UserError]


@strawberry.type
class RefundPayload:
    refund: Refund | None
    user_errors: list[UserError]


Representation = Mapping[str, Any]


async def users(representations: Sequence[Representation], _context: Context) -> list[User]:
    return [User(id=strawberry.ID(str(each["id"]))) for each in representations]


async def orders(representations: Sequence[Representation], _context: Context) -> list[Order]:
    return [_with_total(Order(id=strawberry.ID(str(each["id"]))), each) for each in representations]


async def order_lines(representations: Sequence[Representation], _context: Context) -> list[OrderLine]:
    lines = []
    for each in representations:
        line = _with_total(OrderLine(id=strawberry.ID(str(each["id"]))), each)
        line.partner_id = each.get("partnerId")
        lines.append(line)
    return lines


async def pledges(representations: Sequence[Representation], _context: Context) -> list[Pledge]:
    return [Pledge(id=strawberry.ID(str(each["id"]))) for each in representations]


async def payments(representations: Sequence[Representation], context: Context) -> list[Payment | None]:
    rows = await _load("Payment", representations, context.loaders.payment.load_many)
    return [Payment.of(row) if row is not None and context.may_see(row) else None for row in rows]


async def payment_methods(representations: Sequence[Representation], context: Context) -> list[PaymentMethod | None]:
    rows = await _load("PaymentMethod", representations, context.loaders.method.load_many)
    mine = context.identity.user_id
    return [PaymentMethod.of(row) if row is not None and row["user_id"] == mine else None for row in rows]


async def refunds(representations: Sequence[Representation], context: Context) -> list[Refund | None]:
    rows = await _load("Refund", representations, context.loaders.refund.load_many)
    of_payment = await context.loaders.payment.load_many([row["payment_id"] for row in rows if row is not None])
    paid = {row["id"]: row for row in of_payment if row is not None}
    return [Refund.of(row) if row is not None and context.may_see(paid[row["payment_id"]]) else None for row in rows]


async def _load(
    type_name: str,
    representations: Sequence[Representation],
    load_many: Callable[[list[str]], Awaitable[list[Row | None]]],
) -> list[Row | None]:
    ids = [_local(type_name, str(each.get("id"))) for each in representations]
    known = [id for id in ids if id is not None]
    found = dict(zip(known, await load_many(known), strict=True))
    return [found.get(id) if id is not None else None for id in ids]


def _with_total(entity: Any, representation: Representation) -> Any:
    total = representation.get("total")
    if isinstance(total, Mapping):
        currency = CurrencyCode(total["currencyCode"])
        entity.total = Money(amount=Decimal(str(total["amount"])), currency_code=currency)
    return entity


def _minor(money: Money) -> int | None:
    try:
        return to_minor(money.amount, money.currency_code.value)
    except InvalidAmount:
        return None


async def _payments(info: Info, type: str, given: str) -> list[Row] | None:
    id = _local(type, given)
    return None if id is None else await info.context.payments_of(type, id)


async def _own_methods(info: Info, given: str) -> list[Row] | None:
    user_id = _local("User", given)
    if user_id is None or user_id != info.context.identity.user_id:
        return None
    return await info.context.loaders.methods_of.load(user_id)


def _local(type_name: str, given: str) -> str | None:
    parsed = parse_id(given)
    return parsed[1] if parsed is not None and parsed[0] == type_name else None


def _id(type_name: str, ulid: str) -> strawberry.ID:
    return strawberry.ID(global_id(type_name, ulid))
