"""What a seller enters for a product, and whether it can be taken. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from subgraphs.kit import money
from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.products.domain import MAX_UNITS, InvalidNumber, scaled_amount, text_problem

MAX_VARIANTS = 50
MAX_CATEGORIES = 10
MAX_NUTRIENTS = 60
MAX_SELLING_PLANS = 10
MAX_PICTURES = 10
MAX_DESCRIPTION = 10_000
MAX_WEIGHT_GRAMS = 1_000_000
_SKU = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@dataclass(frozen=True, slots=True)
class VariantDraft:
    sku: str
    name: str
    price: Decimal
    weight_grams: int
    initial_quantity: int


@dataclass(frozen=True, slots=True)
class NutrientDraft:
    nutrient_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ProductDraft:
    """Ids are ULIDs; amounts are as entered."""

    name: str
    description: str | None
    type: str
    category_ids: Sequence[str]
    variants: Sequence[VariantDraft]
    nutrients: Sequence[NutrientDraft]
    selling_plan_ids: Sequence[str]
    media_upload_ids: Sequence[str] | None = None
    """None leaves the pictures as they are."""

    def prices(self, currency: str) -> list[int]:
        """Minor units, in the order of the variants. Call it on a checked draft."""
        return [money.to_minor(variant.price, currency) for variant in self.variants]

    def body(self) -> Any:
        """JSON-able, for the hash of an idempotent request."""
        body = asdict(self)
        for part in (*body["variants"], *body["nutrients"]):
            part.update({key: str(value) for key, value in part.items() if isinstance(value, Decimal)})
        return body


def check(draft: ProductDraft, currency: str) -> None:
    """Raises RejectedTogether with everything that is wrong with the draft."""
    found = [*_product_problems(draft), *_repeats(draft)]
    for index, variant in enumerate(draft.variants[:MAX_VARIANTS]):
        found += _variant_problems(variant, ["input", "variants", str(index)], currency)
    for index, nutrient in enumerate(draft.nutrients[:MAX_NUTRIENTS]):
        try:
            scaled_amount(nutrient.amount)
        except InvalidNumber as error:
            found.append(Rejected("INVALID", str(error), ["input", "nutrients", str(index), "amount"]))
    if found:
        raise RejectedTogether(found)


def _product_problems(draft: ProductDraft) -> list[Rejected]:
    found = []
    if problem := text_problem(draft.name, at_most=200):
        found.append(Rejected("INVALID", problem, ["input", "name"]))
    if draft.description and (problem := text_problem(draft.description, at_most=MAX_DESCRIPTION, multiline=True)):
        found.append(Rejected("INVALID", problem, ["input", "description"]))
    if not draft.variants:
        found.append(Rejected("REQUIRED", "A product has at least one variant.", ["input", "variants"]))
    limits = (
        ("variants", draft.variants, MAX_VARIANTS),
        ("categoryIds", draft.category_ids, MAX_CATEGORIES),
        ("nutrients", draft.nutrients, MAX_NUTRIENTS),
        ("sellingPlanIds", draft.selling_plan_ids, MAX_SELLING_PLANS),
        ("mediaUploadIds", draft.media_upload_ids or (), MAX_PICTURES),
    )
    for name, given, limit in limits:
        if len(given) > limit:
            found.append(Rejected("INVALID", f"At most {limit}.", ["input", name]))
    return found


def _repeats(draft: ProductDraft) -> list[Rejected]:
    lists: tuple[tuple[str, list[str]], ...] = (
        ("variants", [variant.sku for variant in draft.variants]),
        ("categoryIds", list(draft.category_ids)),
        ("nutrients", [nutrient.nutrient_id for nutrient in draft.nutrients]),
        ("sellingPlanIds", list(draft.selling_plan_ids)),
        ("mediaUploadIds", list(draft.media_upload_ids or ())),
    )
    return [
        Rejected("UNIQUE", "The same one stands here twice.", ["input", name])
        for name, given in lists
        if len(set(given)) < len(given)
    ]


def _variant_problems(variant: VariantDraft, path: list[str], currency: str) -> list[Rejected]:
    found = []
    if not 1 <= len(variant.sku) <= 64 or not _SKU.issuperset(variant.sku):
        found.append(Rejected("INVALID", "1 to 64 letters, digits, '-', '_' or '.'.", [*path, "sku"]))
    if problem := text_problem(variant.name, at_most=200):
        found.append(Rejected("INVALID", problem, [*path, "name"]))
    if problem := _price_problem(variant.price, currency):
        found.append(Rejected("INVALID", problem, [*path, "price"]))
    if not 0 <= variant.weight_grams <= MAX_WEIGHT_GRAMS:
        found.append(Rejected("INVALID", f"0 to {MAX_WEIGHT_GRAMS} grams.", [*path, "weightGrams"]))
    if not 0 <= variant.initial_quantity <= MAX_UNITS:
        found.append(Rejected("INVALID", f"0 to {MAX_UNITS} units.", [*path, "initialQuantity"]))
    return found


def _price_problem(price: Decimal, currency: str) -> str | None:
    if not price.is_finite() or price.adjusted() > 15:
        return "Not a usable price."
    try:
        return None if money.to_minor(price, currency) >= 0 else "A price is not negative."
    except money.InvalidAmount as error:
        return str(error)
