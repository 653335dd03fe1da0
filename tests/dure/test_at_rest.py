"""What a thief of the data folder reads of people: nothing."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from dure import subgraphs
from dure.demo_data.people import CREATORS, CUSTOMERS
from tests.dure.shop import Buyer, ShopProcess, choose, visiting, wish
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

BUYER = ("@people.example", "구매자", "10-1234-5678", "1012345678", "서울 강남구 1")
"""What ``make_buyer`` tells of itself; the domain is that of the demo's customers, too."""
CREATORS_NAMES = {creator.name for creator in CREATORS}
"""They tell their names in the stories of their projects."""
ISSUE = """mutation($payable: ID!, $key: String!) {
  virtualAccountIssue(payableId: $payable, bankCode: "88", holderName: "구매자", idempotencyKey: $key) {
    payment { virtualAccount { accountNumber holderName } } userErrors { code } } }"""
DEMO = ("operator@dure.example", "110900000001", *({customer.name for customer in CUSTOMERS} - CREATORS_NAMES))


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


async def test_no_file_tells_which_account_a_buyer_pays_into(copied: tuple[ShopProcess, Buyer]) -> None:
    """Nor the events and letters that the order sets off; the provider's own books are not ours."""
    shop, buyer = copied
    await shop.start()
    async with visiting(shop.url, buyer) as visitor:
        order = wish(buyer, await choose(visitor)) | {"paymentMethodId": None}
        placed = await visitor.ask("place_order", input=order, key=secrets.token_hex(8))
        order_id = placed.data["orderCreate"]["order"]["id"]

        async def awaited() -> bool:
            read: dict[str, Any] = (await visitor.ask("read_order", id=order_id)).data["order"]
            return read["status"] == "AWAITING_PAYMENT"

        await eventually(awaited)
        issued = await visitor.ask_text(ISSUE, payable=order_id, key=secrets.token_hex(8))
        account = issued.data["virtualAccountIssue"]["payment"]["virtualAccount"]
        assert account["holderName"] == "구매자"
    assert await shop.stop() == 0
    found = [name for name, data in stolen(shop.folder).items() if account["accountNumber"].encode() in data]
    assert found == []
    provider = b"".join(path.read_bytes() for path in shop.folder.glob("provider.sqlite*"))
    assert account["accountNumber"].encode() in provider, "the search works"
    assert [name for name, data in stolen(shop.folder).items() if "구매자".encode() in data] == []
    assert shop.dure("keys", "status").returncode == 0
