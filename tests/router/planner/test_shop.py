"""The pages of a shop of six subgraphs (a snapshot of its contract): how many requests, in how many rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.router.planner.support import plan_over
from tests.router.planner.test_plan import fetches, rounds

SUBGRAPHS = Path(__file__).parent / "shop"

HOME = """{
  productSearch(first: 8) { edges { node { id name priceRange { min { amount } } } } }
  recommendedProjects(first: 4) { id title progressPercent }
}"""
PRODUCT = """query($slug: String!) { product(slug: $slug) {
  id name partner { name slug }
  variants { sku price { amount } shippingEstimate(postalCode: "06236") { fee { amount } } }
  reviews { edges { node { rating author { displayName avatarUrl } } } }
} }"""
MY_PAGE = """{ me {
  id name addresses { id } paymentMethods { id } wishlist { edges { node { name } } }
  cart { lines { variant { sku name } } }
  orders { edges { node { number fulfillmentStatus paymentStatus lines { variant { name } } } } }
  subscriptionContracts { edges { node { nextBillingOn paymentMethod { id } } } }
  pledges { edges { node { project { title } shippingAddress { id } paymentMethod { id } } } }
} }"""
ORDER = """query($id: ID!) { order(id: $id) {
  number lines { quantity shippedQuantity commission { amount } } amountDue { amount } payments { status }
  shipments { trackingNumber } currentAddress { id }
} }"""
PROJECT = """query($slug: String!) { project(slug: $slug) {
  title creator { displayName } settlement { net { amount } }
  comments { edges { node { body author { displayName } } } }
} }"""
SHIPMENT = """query($id: ID!) { shipment(id: $id) {
  status order { number payments { status } lines { variant { sku } } } partner { name }
} }"""
PARTNER = """query($slug: String!) { partner(slug: $slug) {
  name balance { available { amount } } products { edges { node { name } } } shipmentsToDispatch { id status }
  orders { edges { node { number fulfillmentStatus lines { variant { sku } commission { amount } } } } }
} }"""

PAGES = [
    pytest.param(HOME, 2, 1, id="home"),
    pytest.param(PRODUCT, 3, 2, id="product page"),
    pytest.param(MY_PAGE, 6, 3, id="my page"),
    pytest.param(ORDER, 3, 2, id="order"),
    pytest.param(PROJECT, 3, 2, id="project"),
    pytest.param(SHIPMENT, 5, 3, id="shipment"),
    pytest.param(PARTNER, 5, 3, id="partner dashboard"),
]


@pytest.mark.parametrize(("operation", "requests", "deep"), PAGES)
def test_a_page_takes_few_requests(operation: str, requests: int, deep: int) -> None:
    """Each page takes at most one request for each subgraph and round it cannot do without."""
    subgraphs = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SUBGRAPHS.glob("*.graphql"))}
    node = plan_over(subgraphs, operation).node
    assert (len(fetches(node)), rounds(node)) == (requests, deep)


def test_a_provided_author_needs_no_second_subgraph() -> None:
    """A review's author comes with the review: users is not asked."""
    subgraphs = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SUBGRAPHS.glob("*.graphql"))}
    operation = "query($s: String!) { product(slug: $s) { reviews { edges { node { author { displayName } } } } } }"
    assert [fetch.subgraph for fetch in fetches(plan_over(subgraphs, operation).node)] == ["products"]
