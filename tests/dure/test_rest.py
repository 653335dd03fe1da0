"""A newcomer and a seller use every REST endpoint, and its refusals have their status.

What has no endpoint among the eighteen goes over GraphQL: confirming an e-mail address, publishing a product, and the
start of a card's registration.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from dure.demo_data.people import SELLERS
from dure.settings import ROOT
from tests.dure.fuzz import UNLIMITED, fuzz_rest
from tests.dure.fuzz_people import tokens
from tests.dure.rest import Rest, demo_password, people
from tests.dure.shop import Buyer, ShopProcess

HOME = {"recipient": "구매자", "phone": "010-1234-5678", "postalCode": "06236", "line1": "서울 강남구 1"}
BINDINGS = yaml.safe_load((ROOT / "schema/rest/rest.yaml").read_text())


async def _register(shop: ShopProcess, person: Rest) -> dict[str, Any]:
    """Register, confirm the e-mail by the link, log in."""
    email, password = f"rest-{secrets.token_hex(6)}@people.example", secrets.token_urlsafe(16)
    new = {"email": email, "password": password, "name": "구매자", "agreedTermVersions": ["1"]}
    user: dict[str, Any] = await person.done("POST /member/registration", new, status=201)
    _, (mail, *_) = await person.send("GET", "/dev/mails", to=email)
    verify = "mutation($t: String!) { accountEmailVerify(token: $t) { userErrors { code } } }"
    status, _ = await person.send("POST", "/graphql", {"query": verify, "variables": {"t": mail["token"]}})
    assert status == 200
    await person.log_in(email, password)
    return user


async def _sells(seller: Rest) -> dict[str, Any]:
    new = {"name": f"시험 상품 {secrets.token_hex(3)}", "type": "GENERAL", "categoryIds": []}
    variant = {"sku": f"REST-{secrets.token_hex(4)}", "name": "기본", "price": "12000", "weightGrams": 300}
    product = {**new, "variants": [{**variant, "initialQuantity": 5}]}
    made: dict[str, Any] = await seller.done("POST /products", product, status=201, keyed=True)
    edited = {**product, "version": made["version"], "description": "새 설명"}
    changed = await seller.done("PUT /products/{productId}", edited, productId=made["id"])
    assert changed["version"] > made["version"]
    (variant,) = changed["variants"]
    count = {"variantId": variant["id"], "onHand": 9, "compareOnHand": 5}
    path = "PUT /products/{productId}/inventory"
    stocked = await seller.done(path, count, keyed=True, productId=made["id"])
    assert stocked["inventory"]["onHand"] == 9
    status, problem = await seller.send("PUT", f"/products/{made['id']}", edited)
    assert (status, problem["code"]) == (409, "VERSION_CONFLICT")
    status, problem = await seller.send("PUT", path[4:].format(productId=made["id"]), count, key="another-key-1")
    assert (status, problem["code"]) == (409, "VERSION_CONFLICT")
    status, problem = await seller.send("PUT", path[4:].format(productId="x"), count, key="another-key-2")
    assert status == 404, problem
    return changed


async def _publish(shop: ShopProcess, seller: Rest, operator: Rest, product_id: str) -> None:
    """Sellers submit and operators approve over GraphQL: REST has the eighteen endpoints only."""
    submit = "mutation($id: ID!) { productSubmitForReview(id: $id) { userErrors { code } } }"
    review = "mutation($id: ID!) { productReview(id: $id, approve: true) { userErrors { code } } }"
    await operator.log_in("operator@dure.example", demo_password(shop))
    for person, query in ((seller, submit), (operator, review)):
        _, answer = await person.send("POST", "/graphql", {"query": query, "variables": {"id": product_id}})
        assert "errors" not in answer, answer
        assert all(payload["userErrors"] == [] for payload in answer["data"].values()), answer


async def _settled(buyer: Rest, order_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        order: dict[str, Any] = await buyer.done("GET /order/orders/{orderId}", orderId=order_id)
        if order["status"] == "PAID":
            return order
        assert time.monotonic() < deadline, order
        await asyncio.sleep(0.05)


async def _card(buyer: Rest) -> dict[str, Any]:
    start = 'mutation { paymentMethodSetupStart(returnUrl: "https://store.example/c") { customerKey } }'
    _, answer = await buyer.send("POST", "/graphql", {"query": start})
    card = {
        "customerKey": answer["data"]["paymentMethodSetupStart"]["customerKey"],
        "cardNumber": "4330123412341234",
        "cardExpirationYear": "31",
        "cardExpirationMonth": "12",
        "customerIdentityNumber": "960101",
    }
    _, window = await buyer.send("POST", "/provider/simulator/billing-auth", card)
    made: dict[str, Any] = await buyer.done(
        "POST /payments/method", {"authKey": window["authKey"]}, status=201, keyed=True
    )
    return made


async def _order(buyer: Rest, variant: dict[str, Any], address: str, card: str | None) -> dict[str, Any]:
    """Place an order; the first try says what it costs."""
    wish = {
        "lines": [{"variantId": variant["id"], "quantity": 1}],
        "addressId": address,
        "expectedTotal": "1",
        **({"paymentMethodId": card} if card else {}),
    }
    status, problem = await buyer.send("POST", "/order/process-order", wish, key=secrets.token_hex(8))
    assert (status, problem["code"]) == (409, "PRICE_CHANGED")
    (total,) = re.findall(r"now (\d+) KRW", problem["detail"])
    wish["expectedTotal"] = total
    key = secrets.token_hex(8)
    tries = [await buyer.send("POST", "/order/process-order", wish, key=key) for _ in range(2)]
    assert [status for status, _ in tries] == [201, 201], tries
    assert tries[0][1]["id"] == tries[1][1]["id"], "the same key is the same order"
    buyer.used.add("POST /order/process-order")
    return dict(tries[0][1])


async def test_everything_the_bindings_offer_is_used_by_a_buyer_and_a_seller(
    copied: tuple[ShopProcess, Buyer],
) -> None:
    """Register, sell, find, buy with a card and through the payment window, ship: all eighteen answer 2xx."""
    shop, _ = copied
    await shop.start()
    async with people(shop, 3) as (buyer, seller, operator):
        goods = next(each for each in SELLERS if each.kind == "GENERAL")
        await seller.log_in(f"owner@{goods.slug}.example", demo_password(shop))
        product = await _sells(seller)
        await _publish(shop, seller, operator, product["id"])
        user = await _register(shop, buyer)
        await buyer.done("PUT /member/members/{userId}", {"displayName": "하나"}, userId=user["id"])
        found = await buyer.done("POST /products/search", {"query": "비타민", "first": 3})
        assert len(found["edges"]) == 3
        shown = await buyer.done("GET /products/{productId}", productId=product["id"])
        address = await buyer.done("POST /delivery/addresses", HOME, status=201)
        card = await _card(buyer)
        await buyer.done("PUT /payments/method/{methodId}", {"setAsDefault": True}, methodId=card["id"])

        order = await _order(buyer, shown["variants"][0], address["id"], card["id"])
        paid = await _settled(buyer, order["id"])
        (payment,) = paid["payments"]
        result = await buyer.done("GET /payments/payments/{paymentId}", paymentId=payment["id"])
        assert (result["status"], result["amount"]) == ("DONE", order["total"])

        await _by_window(buyer, await _order(buyer, shown["variants"][0], address["id"], None))
        await _by_deposit(buyer, await _order(buyer, shown["variants"][0], address["id"], None))
        shipment = await seller.done(
            "POST /delivery/process-delivery", {"orderId": order["id"]}, status=201, keyed=True
        )
        seen = await buyer.done("GET /delivery/deliveries/{deliveryId}", deliveryId=shipment["id"])
        assert [line["quantity"] for line in seen["lines"]] == [1]
        history = await buyer.done("GET /order/orders")
        assert history["totalCount"] == 3
        assert buyer.used == {entry["call"] for entry in BINDINGS["endpoints"]}
        assert len(buyer.used) == 18
        await _refusals(buyer, seller, user, paid)


async def _awaiting(buyer: Rest, order: dict[str, Any]) -> None:
    deadline = time.monotonic() + 30
    while (await buyer.done("GET /order/orders/{orderId}", orderId=order["id"]))["status"] != "AWAITING_PAYMENT":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def _by_deposit(buyer: Rest, order: dict[str, Any]) -> None:
    """The other body of the same endpoint: an account is opened for the order, once for the key."""
    await _awaiting(buyer, order)
    wish, path = {"orderId": order["id"], "bankCode": "88", "holderName": "구매자"}, "/payments/process-payment"
    key = secrets.token_hex(8)
    (status, payment), again = [await buyer.send("POST", path, wish, key=key) for _ in range(2)]
    assert (status, payment["status"]) == (200, "WAITING_FOR_DEPOSIT"), payment
    assert again == (200, payment)
    assert payment["virtualAccount"]["accountNumber"]
    status, problem = await buyer.send("POST", path, {**wish, "bankCode": "000"}, key=secrets.token_hex(8))
    assert status == 422, problem


async def _by_window(buyer: Rest, order: dict[str, Any]) -> None:
    window = {"orderId": order["number"], "amount": int(order["total"]["amount"])}
    status, told = await buyer.send("POST", "/provider/simulator/payment-window", window)
    assert status == 200, told
    await _awaiting(buyer, order)
    pay = {"paymentKey": told["paymentKey"], "orderNumber": order["number"], "amount": order["total"]["amount"]}
    payment = await buyer.done("POST /payments/process-payment", pay, keyed=True)
    assert payment["status"] == "DONE"
    await _settled(buyer, order["id"])


async def _refusals(buyer: Rest, seller: Rest, user: dict[str, Any], order: dict[str, Any]) -> None:
    """What is another's, unknown, malformed or not allowed has its status, whoever asks."""
    stranger = Rest(buyer._session, set())
    expected: list[tuple[Rest, str, str, Any, int]] = [
        (stranger, "GET", "/order/orders", None, 401),
        (stranger, "POST", "/delivery/addresses", HOME, 401),
        (stranger, "POST", "/member/login", {"email": "no@people.example", "password": "x"}, 401),
        (buyer, "POST", "/member/login", {"email": 5}, 400),
        (seller, "PUT", f"/member/members/{user['id']}", {"name": "도둑"}, 403),
        (seller, "GET", f"/payments/payments/{order['payments'][0]['id']}", None, 404),
        (buyer, "GET", "/products/nothing", None, 404),
        (buyer, "GET", "/order/orders/nothing", None, 404),
        (buyer, "GET", "/delivery/deliveries/nothing", None, 404),
        (buyer, "POST", "/products", {"name": "x"}, 400),
        (buyer, "POST", "/delivery/addresses", {**HOME, "planet": "Mars"}, 400),
        (buyer, "POST", "/delivery/addresses", {**HOME, "postalCode": "x"}, 422),
        (buyer, "POST", "/payments/process-payment", {"orderId": order["id"]}, 400),
    ]
    for person, method, path, body, wanted in expected:
        status, problem = await person.send(method, path, body)
        assert status == wanted, f"{method} {path}: {status} {problem}"
        assert problem["status"] == wanted
        assert problem["code"]
        assert problem["traceId"]


def test_the_openapi_document_is_valid() -> None:
    """It is OpenAPI 3.1 and has every endpoint of the bindings."""
    document: Any = yaml.safe_load(Path(ROOT / "schema/rest/openapi.json").read_text())
    validate(document)
    offered = {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods}
    assert offered == {entry["call"] for entry in BINDINGS["endpoints"]}
    broken = {**document, "paths": {"/x/{id}": {"get": {"parameters": [], "responses": {"200": {}}}}}}
    with pytest.raises(Exception, match="id"):
        validate(broken)


@pytest.mark.parametrize("kind", ["anonymous", "partner"])
async def test_generated_requests_never_meet_a_server_error(copied: tuple[ShopProcess, Buyer], kind: str) -> None:
    """Statuses, media types and bodies of the answers are those of the document (`make fuzz`: the default budget)."""
    shop, buyer = copied
    await shop.start(**UNLIMITED)
    done = await asyncio.to_thread(fuzz_rest, shop.url, (await tokens(shop, buyer))[kind], examples=5)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
