"""A shop of its own for a test: a ``dure up`` process on a free port and a folder, and a buyer who can buy."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from dure.demo.client import Shop
from tests.support.process import free_port

START_SECONDS = 180


@dataclass
class ShopProcess:
    """``dure up`` with its data in ``folder``. ``environment`` is added to what it needs."""

    folder: Path
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / "shop.log"

    @property
    def url(self) -> str:
        scheme = "https" if "ROUTER_TLS__KEY" in self.environment else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """Of the process, running or just ended."""
        assert self._process is not None
        return self._process.pid

    async def start(self, **environment: str) -> None:
        """Start it; return when it answers. Raises AssertionError with its log if it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  (it is watched with poll and to_thread)
                [sys.executable, "-m", "dure", "up", *self.arguments],
                env=self.settings | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        async with aiohttp.ClientSession() as session:
            while not (b"dure is open" in self._log.read_bytes() and await _answers(session, self.url)):
                assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{self.log[-3000:]}"
                assert time.monotonic() < deadline, f"no answer:\n{self.log[-3000:]}"
                await asyncio.sleep(0.05)

    @property
    def settings(self) -> dict[str, str]:
        return {
            **os.environ,
            "DURE_DATA_DIR": str(self.folder),
            "DURE_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **self.environment,
        }

    async def ended(self, within: float = 30) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within)

    async def kill(self) -> None:
        """SIGKILL, to it and everything that it started."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(self._process.wait, 20)

    async def stop(self) -> int:
        """Ctrl-C; its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return await asyncio.to_thread(self._process.wait, 20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise

    def dure(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A ``dure`` command with this shop's settings."""
        return subprocess.run(
            [sys.executable, "-m", "dure", *arguments], env=self.settings, capture_output=True, text=True, timeout=120
        )


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/health", ssl=False) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@dataclass(frozen=True, slots=True)
class Buyer:
    """Somebody who can buy: verified, with an address and a card. Survives restarts of the shop."""

    token: str
    user_id: str
    address_id: str
    card_id: str


@asynccontextmanager
async def visiting(url: str, buyer: Buyer | None = None) -> AsyncIterator[Shop]:
    """A client of the shop at ``url``, logged in as the buyer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        shop = Shop(url, session)
        if buyer is not None:
            shop.log_in(buyer.token)
        yield shop


async def make_buyer(url: str) -> Buyer:
    """Register, verify, add an address, register a card."""
    email = f"buyer-{secrets.token_hex(6)}@people.example"
    async with visiting(url) as shop:
        person = {"email": email, "password": secrets.token_urlsafe(16), "name": "구매자", "agreedTermVersions": ["1"]}
        await shop.ask("register", input=person)
        (mail, *_) = await shop.get("/dev/mails", to=email)
        verified = await shop.ask("verify_email", token=mail["token"])
        tokens = verified.data["accountEmailVerify"]["tokens"]
        shop.log_in(tokens["accessToken"])
        home = {"recipient": "구매자", "phone": "010-1234-5678", "postalCode": "06236", "line1": "서울 강남구 1"}
        address = await shop.ask("add_address", input=home)
        setup = (await shop.ask("start_card")).data["paymentMethodSetupStart"]
        card = {
            "customerKey": setup["customerKey"],
            "cardNumber": "4330123412341234",
            "cardExpirationYear": "31",
            "cardExpirationMonth": "12",
            "customerIdentityNumber": "960101",
        }
        window = await shop.post("/provider/simulator/billing-auth", card)
        registered = await shop.ask("register_card", authKey=window["authKey"], key=secrets.token_hex(8))
        return Buyer(
            tokens["accessToken"],
            tokens["user"]["id"],
            address.data["addressCreate"]["address"]["id"],
            registered.data["paymentMethodRegister"]["paymentMethod"]["id"],
        )


async def choose(shop: Shop, query: str = "비타민", at_least: int = 5) -> dict[str, Any]:
    """A variant that is in stock, with its price and what shipping costs."""
    nutrient = (await shop.ask("find_nutrient", search="비타민 C")).data["nutrients"][0]["id"]
    found = await shop.ask("search_products", query=query, nutrient=nutrient)
    for edge in found.data["productSearch"]["edges"]:
        page = await shop.ask("product_page", slug=edge["node"]["slug"], postalCode="06236")
        for variant in page.data["product"]["variants"]:
            if (variant["availableQuantity"] or 0) >= at_least:
                return dict(variant)
    raise AssertionError("nothing is in stock")


def wish(buyer: Buyer, variant: Mapping[str, Any], quantity: int = 1) -> dict[str, Any]:
    """The input of an order of this variant, with the total that it must come to."""
    subtotal = int(variant["price"]["amount"]) * quantity
    estimate = variant["shippingEstimate"]
    free_over = estimate["freeOver"] and int(estimate["freeOver"]["amount"])
    shipping = 0 if free_over is not None and subtotal >= free_over else int(estimate["fee"]["amount"])
    return {
        "lines": [{"variantId": variant["id"], "quantity": quantity}],
        "addressId": buyer.address_id,
        "paymentMethodId": buyer.card_id,
        "expectedTotal": str(subtotal + shipping),
    }


async def settled(shop: Shop, order_id: str, within: float = 100) -> dict[str, Any]:
    """The order, once its saga has come to an end."""
    deadline = time.monotonic() + within
    while True:
        order: dict[str, Any] = (await shop.ask("read_order", id=order_id)).data["order"]
        if order["status"] not in ("PENDING", "AWAITING_PAYMENT"):
            return order
        assert time.monotonic() < deadline, f"still {order['status']}: {order['steps']}"
        await asyncio.sleep(0.05)
