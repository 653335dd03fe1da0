"""The GraphQL inputs of products, and what they mean inside. An id in a filter that names nothing matches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal

import strawberry

from subgraphs.kit import money
from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import local_id, named_id
from subgraphs.products.domain import AMOUNT_SCALE
from subgraphs.products.drafts import NutrientDraft, ProductDraft, VariantDraft
from subgraphs.products.search import Filter, ProductSort, scaled_bound
from subgraphs.products.types import ProductType

strawberry.enum(ProductSort)
NO_RATING = Decimal(6)
"""More stars than anything has."""

MAX_FILTER_VALUES = 100
"""Of which one must hold."""

MAX_CONDITIONS = 10
"""That must all hold, of all kinds together: each is a table more in a query, and the ways to join them explode."""


@strawberry.input
class AttributeFilterInput:
    name: str
    values: list[str]


@strawberry.input(description="A daily portion has at least `min` and at most `max` of the nutrient, in its unit.")
class NutrientAmountFilterInput:
    nutrient_id: strawberry.ID
    min: Decimal | None = strawberry.UNSET
    max: Decimal | None = strawberry.UNSET


@strawberry.input
class ProductFilter:
    category_ids: list[strawberry.ID] | None = strawberry.UNSET
    nutrient_ids: list[strawberry.ID] | None = strawberry.UNSET
    nutrient_amounts: list[NutrientAmountFilterInput] | None = strawberry.UNSET
    price_min: Decimal | None = strawberry.UNSET
    price_max: Decimal | None = strawberry.UNSET
    partner_ids: list[strawberry.ID] | None = strawberry.UNSET
    attributes: list[AttributeFilterInput] | None = strawberry.UNSET
    in_stock_only: bool | None = strawberry.UNSET
    subscribable_only: bool | None = strawberry.UNSET
    rating_min: Decimal | None = strawberry.UNSET


@strawberry.input
class ProductVariantInput:
    sku: str
    name: str
    price: Decimal
    weight_grams: int
    initial_quantity: int | None = 0


@strawberry.input
class NutrientAmountInput:
    nutrient_id: strawberry.ID
    amount: Decimal


@strawberry.input
class ProductInput:
    name: str
    description: str | None = strawberry.UNSET
    type: ProductType
    category_ids: list[strawberry.ID]
    variants: list[ProductVariantInput]
    nutrients: list[NutrientAmountInput] | None = strawberry.UNSET
    selling_plan_ids: list[strawberry.ID] | None = strawberry.UNSET
    media_upload_ids: list[strawberry.ID] | None = strawberry.UNSET


def draft_of(given: ProductInput) -> ProductDraft:
    """The draft that a seller entered. Raises Rejected for an id of another type."""
    return ProductDraft(
        name=given.name.strip(),
        description=(given.description or "").strip() or None,
        type=given.type.value,
        category_ids=_local("Category", given.category_ids, "categoryIds"),
        variants=[
            VariantDraft(each.sku, each.name.strip(), each.price, each.weight_grams, each.initial_quantity or 0)
            for each in given.variants
        ],
        nutrients=[
            NutrientDraft(local_id("Nutrient", each.nutrient_id, field=["input", "nutrients", str(index)]), each.amount)
            for index, each in enumerate(given.nutrients or ())
        ],
        selling_plan_ids=_local("SellingPlan", given.selling_plan_ids or (), "sellingPlanIds"),
        media_upload_ids=_uploads(given.media_upload_ids),
    )


def _uploads(given: Sequence[strawberry.ID] | None) -> Sequence[str] | None:
    return _local("MediaUpload", given, "mediaUploadIds") if isinstance(given, list) else None


def filter_of(given: ProductFilter | None, currency: str) -> Filter:
    """The filter inside, its categories not widened to their descendants yet."""
    if not given:
        return Filter()
    _check_conditions(given)
    return Filter(
        category_ids=_named("Category", given.category_ids),
        nutrient_ids=_named("Nutrient", given.nutrient_ids),
        nutrient_amounts=_amounts(given.nutrient_amounts),
        partner_ids=_named("Partner", given.partner_ids),
        attributes=_attributes(given.attributes),
        price_min=scaled_bound(_given(given.price_min), money.EXPONENTS[currency], upper=False),
        price_max=scaled_bound(_given(given.price_max), money.EXPONENTS[currency], upper=True),
        in_stock_only=bool(given.in_stock_only),
        subscribable_only=bool(given.subscribable_only),
        rating_min=_hundredths(_given(given.rating_min)),
    )


def _given(value: Decimal | None) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


def _hundredths(stars: Decimal | None) -> int | None:
    if stars is None or not stars.is_finite():
        return None
    return int(max(min(stars, NO_RATING), Decimal(0)).scaleb(2).to_integral_value(ROUND_CEILING))


def _amounts(
    given: Sequence[NutrientAmountFilterInput] | None,
) -> list[tuple[str, int | None, int | None]] | None:
    wanted = [each.nutrient_id for each in given] if isinstance(given, list) else None
    ids = _named("Nutrient", wanted)
    if ids is None or given is None:
        return None
    return [
        (
            nutrient_id,
            scaled_bound(_given(each.min), AMOUNT_SCALE, upper=False),
            scaled_bound(_given(each.max), AMOUNT_SCALE, upper=True),
        )
        for nutrient_id, each in zip(ids, given, strict=False)
    ]


def _attributes(given: Sequence[AttributeFilterInput] | None) -> list[tuple[str, list[str]]] | None:
    if not isinstance(given, list):
        return None
    for each in given:
        _check_count(each.values)
    return [(each.name, each.values) for each in given]


def _named(type_name: str, ids: Sequence[strawberry.ID] | None) -> list[str] | None:
    """The ULIDs of the ids of this type; None if the filter was not given. The nonsense among them matches nothing."""
    if not isinstance(ids, list):
        return None
    _check_count(ids)
    return [named_id(type_name, each) or "" for each in ids]


def _check_count(given: Sequence[object]) -> None:
    if len(given) > MAX_FILTER_VALUES:  # leaving out the rest would find what was not asked for
        raise Rejected("INVALID", f"At most {MAX_FILTER_VALUES} values can be asked for.", ["filter"])


def _check_conditions(given: ProductFilter) -> None:
    kinds = (given.nutrient_ids, given.nutrient_amounts, given.attributes)
    if sum(len(each) for each in kinds if isinstance(each, list)) > MAX_CONDITIONS:
        raise Rejected("INVALID", f"At most {MAX_CONDITIONS} nutrients and attributes can be asked for.", ["filter"])


def _local(type_name: str, ids: Sequence[strawberry.ID], name: str) -> list[str]:
    return [local_id(type_name, each, field=["input", name, str(index)]) for index, each in enumerate(ids)]
