"""The catalogue documents every event, and its schemas accept what is really sent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema_rs
import pytest
import yaml

from messaging.catalogue import asyncapi, event_schemas
from messaging.envelope import encode_data
from messaging.events import CATALOGUE
from messaging.events.orders import OrderCanceled, StockLine, StockReservationRequested
from tests.messaging.world import canceled, paid


def refs(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [node["$ref"]] if "$ref" in node else [ref for value in node.values() for ref in refs(value)]
    return [ref for value in node for ref in refs(value)] if isinstance(node, list) else []


def test_every_type_has_a_channel_and_every_reference_leads_somewhere() -> None:
    """All types are there under their addresses, and the document has no dangling reference."""
    document = asyncapi({"payments": [OrderCanceled.type]})
    assert {channel["address"] for channel in document["channels"].values()} == set(CATALOGUE)
    found = refs(document)
    assert found
    for ref in found:
        node = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]


def test_operations_say_who_tells_and_who_takes() -> None:
    """The teller comes from the type's name, the takers from the caller."""
    operations = asyncapi({"payments": [OrderCanceled.type], "delivery": []})["operations"]
    assert operations["orders-tells-OrderCanceled"]["action"] == "send"
    assert operations["payments-takes-OrderCanceled"]["action"] == "receive"
    assert not [name for name in operations if name.startswith("delivery-takes")]


def test_a_consumer_of_nothing_is_a_mistake() -> None:
    """A misspelt type is found here, not by waiting for events that never come."""
    with pytest.raises(ValueError, match="nobody tells"):
        asyncapi({"payments": ["dure.orders.misspelt.v1"]})


def test_schemas_accept_payloads_and_refuse_others() -> None:
    """What a producer encodes is valid under its type's JSON Schema; a payload with a hole is not."""
    schemas = event_schemas()
    assert set(schemas) == set(CATALOGUE)
    reservation = StockReservationRequested(order_id="O", buyer_id="B", lines=(StockLine(variant_id="V", quantity=2),))
    for data in (canceled("O1"), paid("O1"), reservation):
        jsonschema_rs.validate(schemas[data.type], json.loads(encode_data(data)))
    assert not jsonschema_rs.is_valid(schemas[OrderCanceled.type], {"order_id": "O1"})


def test_the_command_prints_the_document() -> None:
    """``python -m messaging.catalogue`` gives YAML that reads back as the document."""
    printed = subprocess.run([sys.executable, "-m", "messaging.catalogue"], capture_output=True, text=True, check=True)
    assert yaml.safe_load(printed.stdout) == asyncapi({})
