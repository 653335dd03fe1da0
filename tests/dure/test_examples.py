"""The explorer's first tabs fit the graph and the demo's data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse, validate

from dure.demo_data import flash
from dure.demo_data.catalogue import NUTRIENTS, items
from dure.demo_data.people import CUSTOMERS
from dure.demo_data.projects import demo_projects
from dure.serve import EXAMPLES
from dure.settings import ROOT
from router.operation.variables import coerce_variables
from router.pipeline.explorer import read_examples
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from subgraphs.kit.ids import global_id


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """Variables by operation name, of examples that the graph accepts."""
    schema = api_schema(load_supergraph((ROOT / "schema/supergraph.graphql").read_text()))
    found = {}
    for example in read_examples(EXAMPLES):
        document = parse(example["query"])
        assert validate(schema, document) == []
        (operation,) = document.definitions
        assert isinstance(operation, OperationDefinitionNode)
        assert operation.name is not None
        coerce_variables(schema, operation, example["variables"])
        found[operation.name.value] = example["variables"]
    return found


def test_every_example_fits_the_graph(examples: dict[str, Any]) -> None:
    """Valid operations, with variables of the right types: browsing, signing in and what is one's own."""
    flash_sale = ["FlashSale", "EnterFlashSale", "WatchPlace", "ClaimUnit"]
    assert list(examples) == ["ProductPage", "SearchProducts", "ProjectPage", "LogIn", "MyPage", *flash_sale]


def test_what_the_examples_name_is_in_the_demo(examples: dict[str, Any]) -> None:
    """The product, the project and the nutrient exist, so that the tabs show something."""
    assert examples["ProductPage"]["slug"] in {item.key for item in items()}
    assert examples["ProjectPage"]["slug"] in {project.slug for project in demo_projects(datetime.now(UTC))}
    nutrients = {global_id("Nutrient", nutrient.id) for nutrient in NUTRIENTS.values()}
    assert examples["SearchProducts"]["nutrient"] in nutrients
    assert examples["FlashSale"]["id"] == examples["EnterFlashSale"]["id"] == global_id("FlashSale", flash.SALE_ID)
    assert examples["ClaimUnit"]["item"] == global_id("FlashSaleItem", flash.ITEM_ID)
    assert examples["LogIn"]["email"] in {f"customer{customer.number}@people.example" for customer in CUSTOMERS}
