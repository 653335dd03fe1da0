"""Customers of a flash sale, good and bad: each waits in line, claims, orders and pays, or tries to cheat."""

from __future__ import annotations

import asyncio
import enum
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.flash.client import App, Unexpected
from dure.demo.client import operation
from subgraphs.kit.ids import parse_id

TICKET = "id status position estimatedWaitSeconds admissionToken"
ENTER = f"mutation Enter($id: ID!) {{ flashSaleEnter(id: $id) {{ ticket {{ {TICKET} }} userErrors {{ code }} }} }}"
WAIT = f"query Wait($id: ID!) {{ queueTicket(id: $id) {{ {TICKET} }} }}"
WATCH = f"subscription Watch($id: ID!) {{ queueTicketUpdated(id: $id) {{ {TICKET} }} }}"
CLAIM = """mutation Claim($item: ID!, $token: String!, $key: String!) {
  flashSaleClaim(itemId: $item, admissionToken: $token, idempotencyKey: $key) {
    claim { id sequence unitPrice { amount } } userErrors { code } } }"""
STATUS = "query Status($id: ID!) { order(id: $id) { status } }"
MOST_SECONDS_BETWEEN_LOOKS = 10.0


class Manner(enum.Enum):
    STEADY = "steady"
    DECLINED = "declined card"
    DREAMER = "is let in and never claims"
    HOARDER = "claims and never orders"
    GREEDY = "claims several times at once"
    FORGER = "claims with another's admission"


def manner_of(number: int) -> Manner:
    """One in fifty of each kind that is not steady."""
    return dict(enumerate(list(Manner)[1:])).get(number % 50, Manner.STEADY)


def watches(number: int) -> bool:
    """Three in four watch their place; the others' apps look now and then."""
    return number % 4 != 3


@dataclass(frozen=True, slots=True)
class Sale:
    """What is sold, as clients see it. ``total``: what one unit costs with its shipping."""

    id: str
    item: str
    variant: str
    total: str


@dataclass
class Told:
    """All that the shop has told its customers: what it must stand by."""

    waiting: int = 0
    tickets: int = 0
    news: int = 0
    admitted: int = 0
    claims: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    claim_seconds: list[float] = field(default_factory=list)
    paid_seconds: list[float] = field(default_factory=list)
    stolen: list[str] = field(default_factory=list)
    """Admissions that forgers got hold of."""


class Customer:
    """One of them. ``person``: token, address, payment method; ``over`` is set when nothing is left to wait for."""

    def __init__(
        self, app: App, sale: Sale, number: int, person: dict[str, str], told: Told, over: asyncio.Event
    ) -> None:
        self._app = app
        self._sale = sale
        self._number = number
        self._person = person
        self._told = told
        self._over = over
        self._manner = manner_of(number)
        self._tries = 0
        self.doing = "comes"

    async def come(self, after: float) -> None:
        """Enter after so many seconds and stay until paid, or until all is over."""
        await asyncio.sleep(after)
        await self._try()
        self.doing = "has gone"

    async def _try(self) -> None:
        while not self._over.is_set():
            self.doing = "waits in the line"
            token = await self._admission()
            if token is None or self._manner is Manner.DREAMER:
                return
            self.doing = "claims"
            claim = await self._claim(token)
            if claim is None:
                await self._unless_over(random.uniform(0.5, 1))
                continue
            if self._manner is Manner.HOARDER or await self._buy(claim) or self._manner is Manner.DECLINED:
                return

    async def _ask(self, document: str, /, **variables: Any) -> Any:
        return await self._app.ask(document, self._person["token"], **variables)

    async def _admission(self) -> str | None:
        """Wait in the line; None if the sale ended first."""
        entered = (await self._ask(ENTER, id=self._sale.id))["flashSaleEnter"]
        ticket = entered["ticket"]
        if ticket is None:
            self._refused(entered)
            return None
        self._told.tickets += 1
        self._told.waiting += 1
        following = self._watch_the_line if watches(self._number) else self._look_at_the_line
        waiting = asyncio.ensure_future(following(ticket))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({waiting, over}, return_when=asyncio.FIRST_COMPLETED)
            token = waiting.result() if waiting.done() else None
        finally:
            self._told.waiting -= 1
            for each in (waiting, over):
                each.cancel()
            await asyncio.gather(waiting, over, return_exceptions=True)
        self._told.admitted += token is not None
        return token

    async def _watch_the_line(self, ticket: dict[str, Any]) -> str | None:
        async for event in self._app.watch(WATCH, self._person["token"], id=ticket["id"]):
            told = event["queueTicketUpdated"]
            self._told.news += 1
            if told["admissionToken"] is not None:
                return str(told["admissionToken"])
            if told["status"] == "EXPIRED":
                await self._ask(ENTER, id=self._sale.id)
        return None

    async def _look_at_the_line(self, ticket: dict[str, Any]) -> str | None:
        while ticket["admissionToken"] is None:
            if ticket["status"] == "LEFT":
                return None
            if ticket["status"] == "EXPIRED":
                ticket = (await self._ask(ENTER, id=self._sale.id))["flashSaleEnter"]["ticket"] or ticket
            await self._pause(ticket)
            ticket = (await self._ask(WAIT, id=ticket["id"]))["queueTicket"]
        return str(ticket["admissionToken"])

    async def _pause(self, ticket: dict[str, Any]) -> None:
        """Until it is worth looking again: whoever stands far back looks seldom."""
        wait = ticket["estimatedWaitSeconds"]
        seconds = min(max((2.0 if wait is None else wait) / 4, 0.5), MOST_SECONDS_BETWEEN_LOOKS)
        await self._unless_over(random.uniform(seconds / 2, seconds))

    async def _unless_over(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):  # wait_for may swallow that it is cancelled
                await self._over.wait()
        except TimeoutError:
            return

    async def _claim(self, token: str) -> str | None:
        """A unit, as long as the admission is good; None when it is not any more, or it was never his."""
        if self._manner is Manner.FORGER:
            return await self._forge(token)
        self._told.stolen.append(token)
        while not self._over.is_set():
            self._tries += 1
            keys = [f"{self._number}:{self._tries}:{each}" for each in range(3 if self._manner is Manner.GREEDY else 1)]
            began = time.perf_counter()
            answers = await asyncio.gather(*(self._ask_claim(token, key) for key in keys))
            self._told.claim_seconds.append(time.perf_counter() - began)
            got = [answer["claim"]["id"] for answer in answers if answer["claim"] is not None]
            if len(set(got)) > 1:
                raise Unexpected(f"customer {self._number} got {got}")
            codes = {error["code"] for answer in answers for error in answer["userErrors"]}
            if got:
                self._told.claims[_bare(got[0])] = self._number
                return str(got[0])
            if codes != {"SOLD_OUT"}:
                return None
            await self._unless_over(random.uniform(1, 2))
        return None

    async def _forge(self, token: str) -> None:
        """Another's admission, and his own with a changed signature: both must be refused."""
        for bad in (token[:-3] + "AAA", *self._told.stolen[-1:]):
            self._tries += 1
            answer = await self._ask_claim(bad, f"forged:{self._number}:{self._tries}")
            if answer["claim"] is not None:
                raise Unexpected(f"customer {self._number} claimed with an admission that was not his")
        self._manner = Manner.DREAMER

    async def _ask_claim(self, token: str, key: str) -> Any:
        answer = (await self._ask(CLAIM, item=self._sale.item, token=token, key=key))["flashSaleClaim"]
        self._refused(answer)
        return answer

    async def _buy(self, claim: str) -> bool:
        """Order on the claim and wait for the payment; whether it was paid."""
        wish = {
            "lines": [{"variantId": self._sale.variant, "quantity": 1}],
            "addressId": self._person["address"],
            "paymentMethodId": self._person["method"],
            "claimId": claim,
            "expectedTotal": self._sale.total,
        }
        self.doing = "orders"
        began = time.perf_counter()
        placed = (await self._ask(operation("place_order"), input=wish, key=claim))["orderCreate"]
        if placed["order"] is None:
            self._refused(placed)
            return False
        order = placed["order"]["id"]
        self._told.orders[_bare(order)] = self._number
        status = placed["order"]["status"]
        self.doing = f"waits for {order}"
        while status in ("PENDING", "AWAITING_PAYMENT"):
            await asyncio.sleep(random.uniform(0.2, 0.6))
            status = (await self._ask(STATUS, id=order))["order"]["status"]
        if status != "PAID":
            self._told.refused[f"order {status}"] += 1
            return False
        self._told.paid[_bare(order)] = self._number
        self._told.paid_seconds.append(time.perf_counter() - began)
        return True

    def _refused(self, payload: dict[str, Any]) -> None:
        self._told.refused.update(error["code"] for error in payload["userErrors"])


def _bare(global_id: str) -> str:
    parsed = parse_id(global_id)
    assert parsed is not None
    return parsed[1]
