"""What of the shop's graph the router may keep, field by field.

A field of a hinted type is kept, for everybody and as a stranger sees it, unless it is said not to be. Whoever adds
one decides: the same for every caller (list it here), or not (``NEVER`` of ``subgraphs/kit/caching.py``).
"""

from __future__ import annotations

import pytest
from graphql import OperationDefinitionNode, SelectionSetNode, parse

from dure.settings import ROOT
from router.executor.entity_cache.hints import read_hints
from router.executor.entity_cache.policy import Policies, Policy
from router.supergraph.load import load_supergraph

KEPT = {
    "Category": "id slug name parent children",
    "Nutrient": "id name unit",
    "Partner": "id slug name logoUrl description status",
    "Product": "id slug name description status type version updatedAt categories nutrients attributes media variants"
    " priceRange sellingPlans partner reviews rating",
    "ProductVariant": "id weightGrams shippingProfileId shippingEstimate sku name price compareAtPrice purchaseLimit"
    " preorderShipsAt product availability availableQuantity",
    "Project": "id slug title summary story goalAmount pledgedAmount progressPercent backerCount opensAt closesAt"
    " fundingModel productionStatus status favoriteCount version category media creator rewards nextTransitions",
    "ProjectCategory": "id slug name",
    "Query": "project projectSearch projectCategories product productVariant productSearch categories nutrients"
    " partner",
    "Review": "id rating body verifiedPurchase createdAt author",
    "Reward": "id title description totalQuantity remainingQuantity soldOut estimatedDeliveryOn shippingRequired"
    " project minimumAmount",
    "SellingPlan": "id name interval intervalCount discountPercent deliveriesPerBilling minCycles maxCycles",
}
FOR_THEIR_CALLER = {"Partner": "businessNumber"}
"""Kept, but for one caller each."""

SECONDS = {
    "Product.name": 60,
    "Product.reviews": 60,
    "ProductVariant.price": 60,
    "ProductVariant.availability": 2,
    "ProductVariant.availableQuantity": 2,
    "Product.isWishlisted": 0,
    "ProductVariant.inventory": 0,
    "Partner.products": 0,
    "Partner.members": 0,
    "Project.isFavorite": 0,
    "Project.posts": 0,
    "Query.recommendedProjects": 0,
    "Query.me": 0,
    "Query.order": 0,
    "Query.cart": 0,
}

SUPERGRAPH = load_supergraph((ROOT / "schema/supergraph.graphql").read_text())
HINTS = read_hints(SUPERGRAPH.document, {})
POLICIES = Policies(SUPERGRAPH, HINTS, 3_600)


def policy(type_name: str, field: str) -> Policy:
    """Of a fetch of this field alone."""
    target = SUPERGRAPH.types.get(SUPERGRAPH.types[type_name].fields[field].named_type)
    selection = _selection(f"{{ {field} {'{ __typename }' if target is not None and target.is_composite else ''} }}")
    if type_name == "Query":
        return POLICIES.of_root(type_name, selection)
    return POLICIES.of_entity(type_name, selection)


def _selection(text: str) -> SelectionSetNode:
    (operation,) = parse(text).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation.selection_set


def test_every_field_that_is_kept_was_meant_to_be() -> None:
    """Types and fields, the public ones and those for one caller: exactly those listed above."""
    public: dict[str, set[str]] = {}
    private: dict[str, set[str]] = {}
    for name, type_ in SUPERGRAPH.types.items():
        if type_.kind != "object" or name in ("Mutation", "Subscription"):
            continue
        for field in type_.fields:
            found = policy(name, field)
            if found.max_age > 0:
                (private if found.private else public).setdefault(name, set()).add(field)
    assert public == {name: set(fields.split()) for name, fields in KEPT.items()}, "see this file's first lines"
    assert private == {name: set(fields.split()) for name, fields in FOR_THEIR_CALLER.items()}


@pytest.mark.parametrize(("coordinate", "seconds"), SECONDS.items())
def test_how_long(coordinate: str, seconds: int) -> None:
    """Stock for a moment, prices for a minute, what is one's own not at all."""
    assert policy(*coordinate.split(".")).max_age == seconds


def test_one_field_that_is_not_kept_keeps_its_whole_fetch_out() -> None:
    """The control: the same page is kept, and with the caller's wish in it it is not."""
    page = "{ id name variants { price { amount } } %s }"
    assert POLICIES.of_entity("Product", _selection(page % "")).max_age == 60
    assert POLICIES.of_entity("Product", _selection(page % "isWishlisted")).max_age == 0
