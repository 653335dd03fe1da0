"""The simulator's second face: Stripe's HTTP API over the same store, with the same faults, answers and webhooks."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.routing import Route

from subgraphs.payments.simulator.store import Store, now
from subgraphs.payments.simulator.stripe_books import StripeBooks
from subgraphs.payments.simulator.stripe_codes import StripeRefused

SEARCHABLE_AFTER = timedelta(seconds=60)
"""The search does not know what is younger."""
Act = Callable[[Request, Mapping[str, Any]], dict[str, Any]]
Find = Callable[[Request], Any]
_EVENT = b'{"id":"evt_'
_ORDER = re.compile(r"metadata\['order_id'\]:'([^']*)'")


class StripeFace:
    """``get`` and ``post`` make endpoints that keep the simulator's promises: authorization, faults, answers kept."""

    def __init__(self, store: Store, get: Callable[[Find], Any], post: Callable[[Act], Any]) -> None:
        self._store = store
        self.books = StripeBooks(store)
        self._get = get
        self._post = post

    def routes(self) -> list[Route]:
        books = self.books
        return [
            self._call("/v1/customers", lambda request, body: books.create_customer(body)),
            self._call("/v1/setup_intents", lambda request, body: books.create_setup(body)),
            Route("/v1/setup_intents/{id}", self._one("setup_intent")),
            self._call("/v1/payment_intents", lambda request, body: books.create_intent(body)),
            Route("/v1/payment_intents", self._list("payment_intent")),
            Route("/v1/payment_intents/search", self._get(self._search)),
            Route("/v1/payment_intents/{id}", self._one("payment_intent")),
            self._call(
                "/v1/payment_intents/{id}/confirm",
                lambda request, body: books.confirm_intent(request.path_params["id"], body),
            ),
            self._call("/v1/refunds", lambda request, body: books.refund(body)),
            Route("/v1/refunds", self._list("refund")),
            Route("/v1/charges", self._list("charge")),
        ]

    def _call(self, path: str, act: Act) -> Route:
        def expanded(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
            return self._expand(act(request, body), list(body.get("expand", {}).values()))

        return Route(path, self._post(expanded), methods=["POST"])

    def _one(self, kind: str) -> Any:
        def find(request: Request) -> dict[str, Any]:
            return self._expand(self.books.find(kind, request.path_params["id"]), _expands(request))

        return self._get(find)

    def _list(self, kind: str) -> Any:
        def find(request: Request) -> dict[str, Any]:
            query = request.query_params
            try:
                limit = min(int(query.get("limit", "10")), 100)
                since, until = int(query.get("created[gte]", "0")), int(query.get("created[lte]", "99999999999"))
            except ValueError as error:
                raise StripeRefused("parameter_invalid") from error
            found = self._store.objects(kind, since, until, query.get("customer"), query.get("starting_after"))
            expands = [each.removeprefix("data.") for each in _expands(request)]
            data = [self._expand(each, expands) for each in found[:limit]]
            return {"object": "list", "url": request.url.path, "has_more": len(found) > limit, "data": data}

        return self._get(find)

    def _search(self, request: Request) -> dict[str, Any]:
        asked = _ORDER.fullmatch(request.query_params.get("query", ""))
        if asked is None:
            raise StripeRefused("parameter_invalid", param="query")
        until = int((now() - SEARCHABLE_AFTER).timestamp())
        found = self._store.objects("payment_intent", 0, until)
        data = [each for each in found if each["metadata"].get("order_id") == asked[1]]
        return {"object": "search_result", "has_more": False, "data": data}

    def _expand(self, found: dict[str, Any], paths: list[str]) -> dict[str, Any]:
        """With the objects that are asked for in the place of their ids, and without what Stripe never shows."""
        shown = {name: value for name, value in found.items() if name != "number"}
        for path in paths:
            name, _, rest = path.partition(".")
            if name == "refunds" and shown["object"] == "charge":
                given = [each for each in self._store.objects("refund") if each["charge"] == shown["id"]]
                shown["refunds"] = {"object": "list", "data": given, "has_more": False}
            elif isinstance(shown.get(name), str) and (inner := self._store.object(shown[name])) is not None:
                shown[name] = self._expand(inner, [rest] if rest else [])
        return shown


def signature(body: bytes, secret: str) -> dict[str, str]:
    """The headers that a webhook is sent with; none for those of the other face."""
    if not body.startswith(_EVENT):
        return {}
    at = str(int(time.time()))
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
    return {"stripe-signature": f"t={at},v1={signed}"}


def form(body: bytes) -> dict[str, Any]:
    """A form's fields, those with brackets as maps: ``metadata[order_id]=x`` is ``{metadata: {order_id: x}}``."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        outer, bracket, inner = name.partition("[")
        if bracket:
            fields.setdefault(outer, {})[inner.rstrip("]")] = value
        else:
            fields[outer] = value
    return fields


def _expands(request: Request) -> list[str]:
    return [value for name, value in request.query_params.multi_items() if name.startswith("expand[")]
