"""What a thief of the data folder reads of people: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dure import subgraphs
from dure.demo_data.people import CREATORS, CUSTOMERS
from tests.dure.shop import Buyer

pytestmark = pytest.mark.e2e

BUYER = ("@people.example", "구매자", "10-1234-5678", "1012345678", "서울 강남구 1")
"""What ``make_buyer`` tells of itself; the domain is that of the demo's customers, too."""
CREATORS_NAMES = {creator.name for creator in CREATORS}
"""They tell their names in the stories of their projects."""
DEMO = ("operator@dure.example", *({customer.name for customer in CUSTOMERS} - CREATORS_NAMES))


def stolen(folder: Path) -> dict[str, bytes]:
    """The bytes of every subgraph's database, with what has not been moved into it yet."""
    names = [path for name in subgraphs.ALL for path in sorted(folder.glob(f"{name}.sqlite*"))]
    return {path.name: path.read_bytes() for path in names}


def test_no_file_of_the_databases_names_anybody(prepared: tuple[Path, Buyer]) -> None:
    folder, buyer = prepared
    files = stolen(folder)
    assert len(files) >= len(subgraphs.ALL)
    found = [(name, text) for name, data in files.items() for text in (*BUYER, *DEMO) if text.encode() in data]
    assert found == []
    assert buyer.user_id
    assert len(DEMO) > 5
    assert "비타민 C".encode() in files["products.sqlite"], "what is public is found: the search works"
