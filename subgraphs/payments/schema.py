"""The GraphQL schema of payments: thin resolvers over the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated

import strawberry
from strawberry.federation.schema_directives import Authenticated

from subgraphs.kit.entities import resolve_entities
from subgraphs.kit.errors import AccessDenied, Rejected, RejectedTogether
from subgraphs.kit.ids import local_id, parse_id
from subgraphs.payments import types
from subgraphs.payments.banks import BANKS
from subgraphs.payments.domain import PaymentStatus
from subgraphs.payments.effects import Row
from subgraphs.payments.service import Account
from subgraphs.payments.settling import graph as settling
from subgraphs.payments.settling.graph import Partner, SettlingMutations, SettlingQueries
from subgraphs.payments.types import (
    Bank,
    Info,
    InputError,
    Order,
    OrderLine,
    Payment,
    PaymentMethod,
    PaymentMethodPayload,
    PaymentMethodSetupPayload,
    PaymentPayload,
    PaymentProvider,
    Pledge,
    Refund,
    RefundAccountInput,
    RefundPayload,
    User,
    UserError,
    UserErrorCode,
    errors_of,
)


@strawberry.type
class Query(SettlingQueries):
    @strawberry.federation.field(authenticated=True)
    async def payment(self, info: Info, id: strawberry.ID) -> Payment | None:
        info.context.identity.require_user()
        parsed = parse_id(id)
        if parsed is None or parsed[0] != "Payment":
            return None
        row = await info.context.visible_payment(parsed[1])
        return Payment.of(row) if row is not None else None

    @strawberry.field
    def banks(self) -> list[Bank] | None:
        return [Bank(code=code, name=name) for code, name in BANKS.items()]


@strawberry.type
class Mutation(SettlingMutations):
    @strawberry.federation.field(authenticated=True)
    async def payment_method_setup_start(self, info: Info, return_url: str) -> PaymentMethodSetupPayload:
        user_id = info.context.identity.require_user()
        settings = info.context.settings
        try:
            setup = await info.context.service.methods.start_setup(user_id, return_url)
        except (Rejected, RejectedTogether) as error:
            return PaymentMethodSetupPayload(user_errors=errors_of(error))
        return PaymentMethodSetupPayload(
            customer_key=setup.customer_key,
            client_key=settings.provider_client_key,
            client_secret=setup.client_secret,
            provider=PaymentProvider(settings.provider),
            user_errors=[],
        )

    @strawberry.federation.field(authenticated=True)
    async def payment_method_register(
        self, info: Info, auth_key: str, idempotency_key: str, set_as_default: bool | None = False
    ) -> PaymentMethodPayload:
        user_id = info.context.identity.require_user()
        register = info.context.service.methods.register
        try:
            return await _method(info, await register(user_id, auth_key, bool(set_as_default), idempotency_key))
        except (Rejected, RejectedTogether) as error:
            return PaymentMethodPayload(payment_method=None, user_errors=errors_of(error))

    @strawberry.federation.field(authenticated=True)
    async def payment_method_update(
        self,
        info: Info,
        id: strawberry.ID,
        auth_key: str | None = strawberry.UNSET,
        set_as_default: bool | None = strawberry.UNSET,
    ) -> PaymentMethodPayload:
        user_id = info.context.identity.require_user()
        try:
            method_id = local_id("PaymentMethod", id, field=["id"])
            update = info.context.service.methods.update
            return await _method(info, await update(user_id, method_id, auth_key or None, set_as_default or None))
        except (Rejected, RejectedTogether) as error:
            return PaymentMethodPayload(payment_method=None, user_errors=errors_of(error))

    @strawberry.federation.field(authenticated=True)
    async def payment_method_delete(self, info: Info, id: strawberry.ID) -> PaymentMethodPayload:
        user_id = info.context.identity.require_user()
        try:
            method_id = local_id("PaymentMethod", id, field=["id"])
            return await _method(info, await info.context.service.methods.delete(user_id, method_id))
        except (Rejected, RejectedTogether) as error:
            return PaymentMethodPayload(payment_method=None, user_errors=errors_of(error))

    @strawberry.federation.field(authenticated=True)
    async def payment_confirm(
        self, info: Info, payment_key: str, order_number: str, amount: Decimal, idempotency_key: str
    ) -> PaymentPayload:
        user_id = info.context.identity.require_user()
        confirm = info.context.service.checkout.confirm
        try:
            return await _payment(info, await confirm(user_id, payment_key, order_number, amount, idempotency_key))
        except (Rejected, RejectedTogether) as error:
            return PaymentPayload(payment=None, user_errors=errors_of(error))

    @strawberry.federation.field(authenticated=True)
    async def virtual_account_issue(
        self, info: Info, payable_id: strawberry.ID, bank_code: str, holder_name: str, idempotency_key: str
    ) -> PaymentPayload:
        user_id = info.context.identity.require_user()
        issue = info.context.service.checkout.issue_account
        try:
            parsed = parse_id(payable_id)
            if parsed is None or parsed[0] not in ("Order", "Pledge"):
                raise Rejected("NOT_FOUND", "Nothing to pay has this id.", ["payableId"])
            return await _payment(info, await issue(user_id, parsed, bank_code, holder_name, idempotency_key))
        except (Rejected, RejectedTogether) as error:
            return PaymentPayload(payment=None, user_errors=errors_of(error))

    @strawberry.federation.field(requires_scopes=[["refunds:write"]])
    async def refund_create(
        self,
        info: Info,
        payment_id: strawberry.ID,
        reason: str,
        idempotency_key: str,
        amount: Decimal | None = strawberry.UNSET,
        refund_account: RefundAccountInput | None = strawberry.UNSET,
        partner_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The seller who bears it. None: all, in proportion to what is left."),
        ] = strawberry.UNSET,
    ) -> RefundPayload:
        context = info.context
        context.identity.require_scope("refunds:write")
        try:
            partner = local_id("Partner", partner_id, field=["partnerId"]) if partner_id else None
            payment = local_id("Payment", payment_id, field=["paymentId"])
            part = amount if isinstance(amount, Decimal) else None
            account = _account(refund_account) if refund_account else None
            made = await context.service.refund(
                context.identity, payment, part, reason, account, idempotency_key, partner
            )
        except (Rejected, RejectedTogether) as error:
            return RefundPayload(refund=None, user_errors=errors_of(error))
        return await _refund(info, made)

    @strawberry.federation.field(authenticated=True)
    async def refund_account_set(
        self, info: Info, id: strawberry.ID, refund_account: RefundAccountInput
    ) -> RefundPayload:
        context = info.context
        context.identity.require_user()
        try:
            refund_id = local_id("Refund", id, field=["id"])
            await context.service.set_refund_account(context.identity, refund_id, _account(refund_account))
        except (Rejected, RejectedTogether) as error:
            return RefundPayload(refund=None, user_errors=errors_of(error))
        return await _refund(info, refund_id)


@strawberry.type
class Subscription:
    @strawberry.subscription(directives=[Authenticated()])
    async def payment_updated(self, info: Info, id: strawberry.ID) -> AsyncIterator[Payment]:
        """The payment as it is now, then after each change."""
        context = info.context
        context.identity.require_user()
        payment_id = local_id("Payment", id)
        version = -1
        async for _ in context.changes.listen(f"payment:{payment_id}", at_once=True):
            row = (await context.service.payments_by_id([payment_id]))[0]
            if row is None or not context.may_see(row):
                raise AccessDenied
            if row["version"] != version:
                version = row["version"]
                context.renew()
                yield Payment.of(row)


async def _method(info: Info, method_id: str) -> PaymentMethodPayload:
    row = (await info.context.service.methods_by_id([method_id]))[0]
    return PaymentMethodPayload(payment_method=PaymentMethod.of(row) if row is not None else None, user_errors=[])


async def _payment(info: Info, payment_id: str) -> PaymentPayload:
    row = (await info.context.service.payments_by_id([payment_id]))[0]
    if row is None:
        raise LookupError(f"payment {payment_id} has gone")
    return PaymentPayload(payment=Payment.of(row), user_errors=_payment_errors(row))


def _payment_errors(row: Row) -> list[UserError]:
    """What the buyer should know of how his payment went."""
    if row["status"] in (PaymentStatus.UNKNOWN.value, PaymentStatus.IN_PROGRESS.value):
        message = "The provider has not told the outcome yet: it will follow."
        return [InputError(code=UserErrorCode.OUTCOME_UNKNOWN, message=message, field=None)]
    if row["failure_code"] is None:
        return []
    code = UserErrorCode(row["failure_code"])
    return [InputError(code=code, message=row["failure_message"] or "", field=None)]


async def _refund(info: Info, refund_id: str) -> RefundPayload:
    row = (await info.context.service.refunds_by_id([refund_id]))[0]
    return RefundPayload(refund=Refund.of(row) if row is not None else None, user_errors=_refund_errors(row))


def _refund_errors(row: Row | None) -> list[UserError]:
    if row is None or row["failure_code"] is None:
        return []
    code = UserErrorCode(row["failure_code"])
    return [InputError(code=code, message=row["failure_message"] or "", field=None)]


def _account(given: RefundAccountInput) -> Account:
    return Account(bank=given.bank_code, number=given.account_number, holder=given.holder_name)


schema = strawberry.federation.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[User, Order, OrderLine, Pledge, Partner, InputError],
    federation_version="2.9",
)
resolve_entities(
    schema,
    {
        "Payment": types.payments,
        "PaymentMethod": types.payment_methods,
        "Refund": types.refunds,
        "User": types.users,
        "Order": types.orders,
        "OrderLine": types.order_lines,
        "Pledge": types.pledges,
        "Partner": settling.partners,
        "Settlement": settling.settlements,
    },
)
