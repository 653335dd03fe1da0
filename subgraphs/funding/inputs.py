"""The input types, and what the use cases take in their place."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import strawberry

from subgraphs.funding import search
from subgraphs.funding.domain import FundingModel, ProductionStatus, ProjectStatus
from subgraphs.funding.pledging import NewPledge
from subgraphs.funding.service import ProjectDraft, RewardDraft
from subgraphs.funding.types import Info, local
from subgraphs.kit import money
from subgraphs.kit.errors import Rejected
from subgraphs.kit.idempotency import Request, check_key
from subgraphs.kit.ids import local_id, new_ulid
from subgraphs.kit.types import CurrencyCode


@strawberry.input
class ProjectFilter:
    category_ids: list[strawberry.ID] | None = strawberry.UNSET
    status: list[ProjectStatus] | None = strawberry.UNSET
    production_status: list[ProductionStatus] | None = strawberry.UNSET
    progress_min: int | None = strawberry.UNSET
    creator_ids: list[strawberry.ID] | None = strawberry.UNSET


@strawberry.input
class ProjectInput:
    title: str
    summary: str | None = strawberry.UNSET
    story: str
    category_id: strawberry.ID
    goal_amount: Decimal
    currency_code: CurrencyCode = CurrencyCode.KRW
    opens_at: datetime | None = strawberry.UNSET
    closes_at: datetime
    funding_model: FundingModel = FundingModel.ALL_OR_NOTHING


@strawberry.input
class RewardInput:
    title: str
    description: str
    minimum_amount: Decimal
    total_quantity: int | None = strawberry.UNSET
    estimated_delivery_on: date
    shipping_required: bool = True


@strawberry.input
class PledgeInput:
    project_id: strawberry.ID
    reward_id: strawberry.ID | None = strawberry.UNSET
    quantity: int = 1
    additional_amount: Decimal | None = Decimal(0)
    payment_method_id: strawberry.ID | None = strawberry.UNSET
    address_id: strawberry.ID | None = strawberry.UNSET


def search_filter(given: ProjectFilter | None) -> search.Filter:
    if given is None:
        return search.Filter()
    return search.Filter(
        category_ids=_ids("ProjectCategory", given.category_ids),
        status=given.status if given.status is not strawberry.UNSET else None,
        production_status=given.production_status if given.production_status is not strawberry.UNSET else None,
        progress_min=given.progress_min if given.progress_min is not strawberry.UNSET else None,
        creator_ids=_ids("User", given.creator_ids),
    )


def _ids(type_name: str, given: Any) -> list[str] | None:
    if given is strawberry.UNSET or given is None:
        return None
    return [found for found in (local(type_name, each) for each in given) if found]


def _minor(amount: Decimal, currency: str, field: str) -> int:
    try:
        return money.to_minor(amount, currency)
    except money.InvalidAmount as error:
        raise Rejected("INVALID", str(error), ["input", field]) from None


def _moment(given: datetime | None, field: str) -> datetime | None:
    """The instant in UTC, if one is given. Raises Rejected for one without an offset or far from our time."""
    if not given:
        return None
    if given.tzinfo is None:
        raise Rejected("INVALID", "Give the time with its offset.", ["input", field])
    if not 2000 <= given.year < 3000:
        raise Rejected("INVALID", "Not a time of ours.", ["input", field])
    return given.astimezone(UTC)


def project_draft(given: ProjectInput) -> ProjectDraft:
    closes_at = _moment(given.closes_at, "closesAt")
    assert closes_at is not None
    return ProjectDraft(
        title=given.title,
        summary=given.summary or None,
        story=given.story,
        category_id=local_id("ProjectCategory", given.category_id, field=["input", "categoryId"]),
        goal_amount=_minor(given.goal_amount, given.currency_code.value, "goalAmount"),
        currency=given.currency_code.value,
        opens_at=_moment(given.opens_at, "opensAt"),
        closes_at=closes_at,
        funding_model=given.funding_model,
    )


async def reward_draft(info: Info, project_id: str, given: RewardInput) -> RewardDraft:
    project = await info.context.loaders.project.load(project_id)
    currency = project.currency if project is not None else "KRW"
    return RewardDraft(
        title=given.title,
        description=given.description,
        minimum_amount=_minor(given.minimum_amount, currency, "minimumAmount"),
        total_quantity=given.total_quantity if given.total_quantity is not strawberry.UNSET else None,
        estimated_delivery_on=given.estimated_delivery_on,
        shipping_required=given.shipping_required,
    )


async def new_pledge(info: Info, user_id: str, given: PledgeInput, key: str) -> NewPledge:
    project_id = local_id("Project", given.project_id, field=["input", "projectId"])
    project = await info.context.loaders.project.load(project_id)
    if project is None:
        raise Rejected("NOT_FOUND", "No such project.", ["input", "projectId"])
    reward_id = local_id("Reward", given.reward_id, field=["input", "rewardId"]) if given.reward_id else None
    method = given.payment_method_id
    method_id = local_id("PaymentMethod", method, field=["input", "paymentMethodId"]) if method else None
    address_id = local_id("Address", given.address_id, field=["input", "addressId"]) if given.address_id else None
    additional = _minor(given.additional_amount or Decimal(0), project.currency, "additionalAmount")
    body = [project_id, reward_id, given.quantity, additional, method_id, address_id]
    return NewPledge(
        backer_id=user_id,
        project_id=project_id,
        reward_id=reward_id,
        quantity=given.quantity,
        additional_amount=additional,
        payment_method_id=method_id,
        address_id=address_id,
        request=request_of(user_id, "pledgeCreate", key, body),
    )


def request_of(user_id: str, operation: str, key: str, body: Any) -> Request:
    return Request(scope=f"{user_id}:{operation}", key=check_key(key), body=body, claim=new_ulid())
