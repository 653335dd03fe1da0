"""The newcomer's steps: what is done, what must come of it, what it cost."""

from __future__ import annotations

import asyncio
import secrets
from decimal import Decimal
from typing import Any

import aiohttp
from rich.markup import escape

from dure.demo.client import Answer, Cost, Shop, Unexpected
from dure.progress import console, errors

POSTAL_CODE = "06236"
PAID_SECONDS = 60
STOCK_LOOKS, STOCK_LOOKS_EVERY = 20, 0.25
CARD_NUMBER = "4330123412341234"


async def run(url: str) -> bool:
    """Walk through the shop at ``url``, printing each step; False when a value is not what it must be."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as session:
        visit = Visit(Shop(url, session))
        try:
            await visit.whole()
        except Unexpected as error:
            errors.print(f"[red]✗ {escape(str(error))}[/red]", soft_wrap=True)
        except aiohttp.ClientSSLError as error:
            told = f"[red]✗ the certificate of {url} is not trusted here[/red] (SSL_CERT_FILE names its root): "
            errors.print(told + escape(str(error)), soft_wrap=True)
        except aiohttp.ClientConnectionError:
            told = f"[red]✗ no shop at {url}:[/red] start one with `make run`; one at another port: DURE_PORT=..."
            errors.print(told, soft_wrap=True)
        except aiohttp.ClientError as error:
            errors.print(f"[red]✗ {url} answers as no shop does:[/red] {escape(str(error))}", soft_wrap=True)
        else:
            console.print(f"[bold green]All {visit.steps} steps as they must be.[/bold green]")
            return True
    return False


class Visit:
    """One visit. Every check compares with what an earlier answer or arithmetic says, never with a constant answer."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.steps = 0

    async def whole(self) -> None:
        email, password = f"newcomer-{secrets.token_hex(6)}@people.example", secrets.token_urlsafe(16)
        user_id = await self._join(email, password)
        variant, fee, free_over = await self._choose()
        address_id, card_id, card = await self._prepare()
        order_id, total = await self._buy(variant, fee, free_over, address_id, card_id)
        await self._watch(order_id)
        await self._read_back(order_id, variant, total)
        pledged = await self._back_a_project(address_id, card_id)
        await self._my_page(user_id, email, total, pledged, card)

    async def _join(self, email: str, password: str) -> str:
        joined = await self._shop.ask(
            "register",
            input={
                "email": email,
                "password": password,
                "name": "김하나",
                "displayName": "하나",
                "agreedTermVersions": ["2026-01"],
            },
        )
        user = joined.data["accountRegister"]["user"]
        self._say("registered", f"{user['displayName']} <{email}>", joined.cost)

        (mail, *_) = await self._shop.get("/dev/mails", to=email) or [{}]
        _must(bool(mail.get("token")), "a verification link was mailed")
        verified = await self._shop.ask("verify_email", token=mail["token"])
        shown = verified.data["accountEmailVerify"]["tokens"]["user"]
        _must(shown["id"] == user["id"], "the link is the new account's")
        self._say("verified the e-mail", f"by the link in “{mail['subject']}”", verified.cost)

        logged_in = await self._shop.ask("log_in", email=email, password=password)
        tokens = logged_in.data["tokenCreate"]["tokens"]
        _must(tokens["user"]["id"] == user["id"] and tokens["session"]["current"], "logged in as the same user")
        self._shop.log_in(tokens["accessToken"])
        self._say("logged in", f"until {tokens['expiresAt']}", logged_in.cost)
        return str(user["id"])

    async def _choose(self) -> tuple[dict[str, Any], int, int | None]:
        nutrients = await self._shop.ask("find_nutrient", search="비타민 C")
        nutrient = next(iter(nutrients.data["nutrients"]), None)
        if nutrient is None:
            raise Unexpected("no nutrient is found by 비타민 C")
        found = await self._shop.ask("search_products", query="비타민", nutrient=nutrient["id"])
        search = found.data["productSearch"]
        products = [edge["node"] for edge in search["edges"]]
        _must(len(products) == min(5, search["totalCount"]) and len(products) > 0, "a page of five is found")
        for product in products:
            held = {each["nutrient"]["id"] for each in product["nutrients"]}
            _must(nutrient["id"] in held, f"{product['name']} has {nutrient['name']}")
            _must(bool(product["partner"]["name"]), "users tells the seller's name")
        prices = [Decimal(product["priceRange"]["min"]["amount"]) for product in products]
        _must(prices == sorted(prices), "the cheapest come first")
        detail = f"{search['totalCount']} with {nutrient['name']}, {len(search['facets'])} facets"
        self._say("searched supplements", detail, found.cost)

        page = await self._shop.ask("product_page", slug=products[0]["slug"], postalCode=POSTAL_CODE)
        product = page.data["product"]
        _must(product["name"] == products[0]["name"] and product["status"] == "PUBLISHED", "the page is the product's")
        variant = next(each for each in product["variants"] if each["availability"] != "OUT_OF_STOCK")
        estimate = variant["shippingEstimate"]
        if estimate is None:
            raise Unexpected("delivery estimates the shipping")
        free_over = estimate["freeOver"] and int(estimate["freeOver"]["amount"])
        detail = f"{product['name']}, {variant['price']['amount']} KRW, arrives {estimate['deliverFrom']}"
        self._say("opened a product page", detail, page.cost)
        return variant, int(estimate["fee"]["amount"]), free_over

    async def _prepare(self) -> tuple[str, str, str]:
        added = await self._shop.ask(
            "add_address",
            input={
                "recipient": "김하나",
                "phone": "010-1234-5678",
                "postalCode": POSTAL_CODE,
                "line1": "서울 강남구 테헤란로 1",
            },
        )
        address = added.data["addressCreate"]["address"]
        _must(address["isDefault"] and not address["remoteArea"], "the first address is the default")
        self._say("added an address", f"{address['recipient']}, {address['postalCode']}", added.cost)

        setup = (await self._shop.ask("start_card")).data["paymentMethodSetupStart"]
        window = await self._shop.post(
            "/provider/simulator/billing-auth",
            {
                "customerKey": setup["customerKey"],
                "cardNumber": CARD_NUMBER,
                "cardExpirationYear": "31",
                "cardExpirationMonth": "12",
                "customerIdentityNumber": "960101",
            },
        )
        registered = await self._shop.ask("register_card", authKey=window["authKey"], key=secrets.token_hex(16))
        card = registered.data["paymentMethodRegister"]["paymentMethod"]
        _must(card["status"] == "ACTIVE" and card["isDefault"], "the card can be charged")
        _must("*" in card["maskedNumber"] and CARD_NUMBER not in card["maskedNumber"], "its number is masked")
        self._say("registered a card", f"{card['issuer']} {card['maskedNumber']}", registered.cost)
        return str(address["id"]), str(card["id"]), str(card["maskedNumber"])

    async def _buy(
        self, variant: dict[str, Any], fee: int, free_over: int | None, address_id: str, card_id: str
    ) -> tuple[str, int]:
        quantity = min(2, variant["availableQuantity"])
        subtotal = int(variant["price"]["amount"]) * quantity
        total = subtotal + (0 if free_over is not None and subtotal >= free_over else fee)
        wish = {
            "lines": [{"variantId": variant["id"], "quantity": quantity}],
            "addressId": address_id,
            "paymentMethodId": card_id,
            "expectedTotal": str(total),
        }
        key = secrets.token_hex(16)
        placed = await self._shop.ask("place_order", input=wish, key=key)
        order = placed.data["orderCreate"]["order"]
        _must(order["status"] == "PENDING", "a new order is pending")
        _must(int(order["total"]["amount"]) == total, "it costs what was expected")
        again = await self._shop.ask("place_order", input=wish, key=key)
        _must(again.data["orderCreate"]["order"]["id"] == order["id"], "the same key is the same order")
        self._say("placed an order", f"{order['number']}, {quantity} units, {total} KRW", placed.cost)
        return str(order["id"]), total

    async def _watch(self, order_id: str) -> None:
        seen: list[str] = []
        try:
            async with asyncio.timeout(PAID_SECONDS):
                async for event in self._shop.watch("watch_order", id=order_id):
                    status = event["orderUpdated"]["status"]
                    if not seen or seen[-1] != status:
                        seen.append(status)
                    if status in ("PAID", "CANCELED", "EXPIRED"):
                        break
        except TimeoutError:
            raise Unexpected(f"the order is not paid after {PAID_SECONDS} s: {seen}") from None
        _must(seen[-1] == "PAID", f"the order is paid, not {seen[-1]}")
        self._say("watched it", " → ".join(["PENDING", *(status for status in seen if status != "PENDING")]), None)

    async def _read_back(self, order_id: str, variant: dict[str, Any], total: int) -> None:
        read = await self._shop.ask("read_order", id=order_id)
        for _ in range(STOCK_LOOKS):
            if read.data["order"]["lines"][0]["variant"]["availableQuantity"] < variant["availableQuantity"]:
                break
            # A page opened just now may show the stock of then for two seconds; an order can be paid sooner.
            await asyncio.sleep(STOCK_LOOKS_EVERY)
            read = await self._shop.ask("read_order", id=order_id)
        order = read.data["order"]
        lines = order["lines"]
        _must(int(order["total"]["amount"]) == total and order["status"] == "PAID", "orders: the total, paid")
        parts = int(order["subtotal"]["amount"]) + int(order["shipping"]["amount"])
        _must(
            parts == total
            and sum(int(line["total"]["amount"]) for line in lines) + int(order["shipping"]["amount"]) == total,
            "the parts sum to the whole",
        )
        _must([step["status"] for step in order["steps"]] == ["DONE"] * 4, "all four steps are done")
        left = variant["availableQuantity"] - lines[0]["variant"]["availableQuantity"]
        _must(left == lines[0]["quantity"], "products: so many units fewer")
        (payment,) = order["payments"]
        _must(payment["status"] == "DONE" and order["paymentStatus"] == "DONE", "payments: captured")
        _must(int(payment["capturedAmount"]["amount"]) == total, "captured once, the whole total")
        _must(Decimal(order["amountDue"]["amount"]) == 0, "nothing is due")
        (shipment,) = order["shipments"]
        _must(sum(line["quantity"] for line in shipment["lines"]) == lines[0]["quantity"], "delivery: all units go")
        _must(order["fulfillmentStatus"] == "UNFULFILLED" and lines[0]["shippedQuantity"] == 0, "nothing left yet")
        _must(order["currentAddress"] is not None, "delivery: where it goes")
        detail = (
            f"payment {payment['status']}, shipment {shipment['status']}, arrives {shipment['estimatedDeliveryOn']}"
        )
        self._say("read the order back", detail, read.cost)

    async def _back_a_project(self, address_id: str, card_id: str) -> int:
        found = await self._shop.ask("find_project", query="두레 공방")
        edges = found.data["projectSearch"]["edges"]
        _must(len(edges) == 1, "one project has this name")
        page = await self._shop.ask("project_page", slug=edges[0]["node"]["slug"])
        project = page.data["project"]
        goal, before = int(project["goalAmount"]["amount"]), int(project["pledgedAmount"]["amount"])
        _must(
            project["status"] == "OPEN" and project["progressPercent"] == before * 100 // goal, "its progress adds up"
        )
        self._say("opened a project", f"{project['title']}, {project['progressPercent']} % of {goal} KRW", page.cost)

        reward = next(each for each in project["rewards"] if each["shippingRequired"] and not each["soldOut"])
        made = await self._shop.ask(
            "pledge",
            input={
                "projectId": project["id"],
                "rewardId": reward["id"],
                "quantity": 1,
                "additionalAmount": "1000",
                "paymentMethodId": card_id,
                "addressId": address_id,
            },
            key=secrets.token_hex(16),
        )
        pledge = made.data["pledgeCreate"]["pledge"]
        total = int(reward["minimumAmount"]["amount"]) + 1000
        _must(pledge["status"] == "RESERVED" and int(pledge["total"]["amount"]) == total, "the pledge is reserved")
        _must(int(pledge["project"]["pledgedAmount"]["amount"]) >= before + total, "the project has so much more")
        self._say("pledged for a reward", f"{reward['title']}, {total} KRW, charged if the goal is met", made.cost)
        return total

    async def _my_page(self, user_id: str, email: str, total: int, pledged: int, card: str) -> None:
        page = await self._eventually_my_page(card)
        me = page.data["me"]
        _must(me["email"] == email and me["emailVerifiedAt"] is not None, "users: the newcomer's own, verified page")
        (order,) = [edge["node"] for edge in me["orders"]["edges"]]
        _must(int(order["total"]["amount"]) == total and order["paymentStatus"] == "DONE", "orders and payments agree")
        _must(len(order["shipments"]) == 1, "delivery has its shipment")
        (pledge,) = [edge["node"] for edge in me["pledges"]["edges"]]
        _must(int(pledge["total"]["amount"]) == pledged, "funding has the pledge")
        _must([each["maskedNumber"] for each in me["paymentMethods"]] == [card], "payments has the card")
        _must(len(me["addresses"]) == 1, "delivery has the address")
        detail = f"{len(me['orders']['edges'])} order, {len(me['pledges']['edges'])} pledge, "
        self._say("looked at my page", detail + f"{me['unreadNotificationCount']} notifications", page.cost)

    async def _eventually_my_page(self, card: str) -> Answer:
        """The pledge's payment method is known to payments by event: it may be there a moment later."""
        for _ in range(100):
            page = await self._shop.ask("my_page")
            edges = page.data["me"]["pledges"]["edges"]
            if edges and (edges[0]["node"]["paymentMethod"] or {}).get("maskedNumber") == card:
                return page
            await asyncio.sleep(0.1)
        raise Unexpected("payments does not know the pledge's card")

    def _say(self, what: str, detail: str, cost: Cost | None) -> None:
        self.steps += 1
        price = ""
        if cost is not None:
            price = f"[dim]{cost.fetches} sub-requests in {cost.rounds} rounds, {cost.milliseconds:.0f} ms[/dim]"
        console.print(f"[green]✓[/green] {self.steps:2} {what:22} {escape(detail)}  {price}", soft_wrap=True)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Unexpected(f"this does not hold: {what}")
