"""The simulator's HTTP door and its webhooks."""

from __future__ import annotations

import asyncio
import hmac
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from db.batching import GroupCommit
from db.driver import sqlite3
from subgraphs.payments.simulator.books import KST, Books
from subgraphs.payments.simulator.faults import KINDS, Refused
from subgraphs.payments.simulator.payouts import PayoutBooks
from subgraphs.payments.simulator.store import Store
from subgraphs.payments.simulator.stripe_codes import StripeRefused
from subgraphs.payments.simulator.stripe_face import StripeFace, form, signature

RETRY_MINUTES = (1, 4, 16, 64, 256, 1024, 4096)
MAX_KEY = 300
IN_PROCESS = "IDEMPOTENT_REQUEST_PROCESSING"
_CHARGE = re.compile(r"/v1/billing/(?P<billing_key>[^/]+)")
HOOKS_TOGETHER = 100
Hook = tuple[bytes, Mapping[str, str]]
"""A webhook's body and headers."""
Deliver = Callable[[bytes, Mapping[str, str]], Awaitable[int]]
"""Posts a webhook's body with headers; the HTTP status. Whatever it raises is a delivery that failed."""
DeliverAll = Callable[[Sequence[Hook]], Awaitable[Sequence[int]]]
"""The same for many at once."""
Refuse = Callable[[str | None], Refused]
"""A scripted error of one of the faces; without a code the one that says that it failed inside."""
Work = Callable[[], dict[str, Any]]


class Answer(NamedTuple):
    """An HTTP status and JSON."""

    status: int
    body: bytes


def _failed(code: str | None) -> Refused:
    return Refused(code or "FAILED_INTERNAL_SYSTEM_PROCESSING")


class Simulator:
    """The provider as an ASGI application; ``run`` sends its webhooks until cancelled."""

    def __init__(self, state: Path, *, secret_key: str, webhook_secret: str, minute_seconds: float = 60.0) -> None:
        self.store = Store(state)
        self._books = Books(self.store)
        self._payouts = PayoutBooks(self.store)
        self._stripe = StripeFace(self.store, self._get_of_stripe, self._post_of_stripe)
        self._authorizations = (b"Basic " + b64encode(f"{secret_key}:".encode()), f"Bearer {secret_key}".encode())
        self._webhook_secret = webhook_secret
        self._minute = minute_seconds
        self._deliver: DeliverAll | None = None
        self._processing: set[str] = set()
        self._commits: GroupCommit[tuple[str | None, Work], Answer] = GroupCommit(self._commit, limit=256)
        self._charge = self._post(lambda request, body: self._books.charge(request.path_params["billing_key"], body))
        self._app = Starlette(routes=self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        charged = scope["type"] == "http" and scope["method"] == "POST" and _CHARGE.fullmatch(scope["path"])
        if charged:  # most calls by far, so the router of routes is passed by
            response = await self._charge(Request({**scope, "path_params": charged.groupdict()}, receive))
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def charge(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """``POST path`` from within the process, header names in small letters; most calls by far are such. None: no
        charge of a card, or a fault may be scripted for it. Ask by HTTP then, and do not wait for ever."""
        charged = None if self.store.is_faulty else _CHARGE.fullmatch(path)
        if charged is None:
            return None
        billing_key = charged["billing_key"]
        return await self._called(path, headers, body, lambda given: self._books.charge(billing_key, given), _failed)

    def deliver_to(self, deliver: Deliver) -> None:
        """Where webhooks go. Until this is called they wait."""

        async def status(hook: Hook) -> int:
            try:
                return await deliver(*hook)
            except Exception:
                return 0

        async def deliver_all(hooks: Sequence[Hook]) -> Sequence[int]:
            return await asyncio.gather(*map(status, hooks))

        self._deliver = deliver_all

    def deliver_together(self, deliver: DeliverAll) -> None:
        """The same, to who takes many at once."""
        self._deliver = deliver

    async def run(self, *, every: float = 0.2) -> None:
        """Send webhooks as they fall due."""
        while True:
            while await self.deliver_due() == HOOKS_TOGETHER:
                pass
            await asyncio.to_thread(self.store.tidy)
            await asyncio.sleep(every)

    async def deliver_due(self) -> int:
        """Send the webhooks due now; how many were accepted."""
        if self._deliver is None:
            return 0
        hooks = self.store.due_webhooks(HOOKS_TOGETHER)
        if not hooks:
            return 0
        statuses = await self._statuses(self._deliver, [hook["body"].encode() for hook in hooks])
        with self.store.change():
            self.store.webhooks_delivered(
                [hook["position"] for hook, status in zip(hooks, statuses, strict=True) if status == 200]
            )
            for hook, status in zip(hooks, statuses, strict=True):
                if status != 200:
                    self._note_failure(hook)
        return statuses.count(200)

    async def _statuses(self, deliver: DeliverAll, bodies: Sequence[bytes]) -> Sequence[int]:
        try:
            return await deliver([(body, signature(body, self._webhook_secret)) for body in bodies])
        except Exception:
            return [0] * len(bodies)

    def _note_failure(self, hook: sqlite3.Row) -> None:
        done = hook["attempts"] >= len(RETRY_MINUTES)
        pause = None if done else RETRY_MINUTES[hook["attempts"]] * self._minute
        self.store.webhook_failed(hook["position"], pause)

    def _routes(self) -> list[Route]:
        books = self._books
        return [
            Route("/v1/payments/confirm", self._post(lambda request, body: books.confirm(body)), methods=["POST"]),
            Route("/v1/payments/orders/{order_id}", self._get(self._by_order)),
            Route("/v1/payments/{payment_key}", self._get(self._by_key)),
            Route(
                "/v1/payments/{payment_key}/cancel",
                self._post(lambda request, body: books.cancel(request.path_params["payment_key"], body)),
                methods=["POST"],
            ),
            Route(
                "/v1/virtual-accounts", self._post(lambda request, body: books.issue_account(body)), methods=["POST"]
            ),
            Route(
                "/v1/billing/authorizations/issue",
                self._post(lambda request, body: books.issue_billing_key(body)),
                methods=["POST"],
            ),
            Route("/v1/billing/{billing_key}", self._charge, methods=["POST"]),
            Route("/v1/transactions", self._get(self._journal)),
            Route("/v2/payouts", self._post(lambda request, body: self._payouts.request(body)), methods=["POST"]),
            Route("/v2/payouts", self._get(self._payout)),
            *self._stripe.routes(),
            Route("/simulator/billing-auth", self._demo(self._authorize), methods=["POST"]),
            Route("/simulator/stripe/card", self._demo(self._stripe.books.enter_card), methods=["POST"]),
            Route("/simulator/payment-window", self._demo(books.open_window), methods=["POST"]),
            Route("/simulator/deposits", self._demo(books.deposit), methods=["POST"]),
            Route("/simulator/deposits/reversals", self._demo(books.reverse_deposit), methods=["POST"]),
            Route("/simulator/faults", self._demo(self._script), methods=["POST"]),
            Route("/simulator/faults", self._clear, methods=["DELETE"]),
        ]

    def _authorize(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The window that registers a card, of the face that knows the customer."""
        return self._stripe.books.complete_setup(body) or self._books.authorize_billing(body)

    def _get_of_stripe(self, find: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        return self._get(find, StripeRefused)

    def _post_of_stripe(
        self, act: Callable[[Request, Mapping[str, Any]], dict[str, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        return self._post(act, StripeRefused)

    def _payout(self, request: Request) -> Any:
        return self._payouts.look(request.query_params.get("refPayoutId", ""))

    def _by_order(self, request: Request) -> Any:
        return self._books.find(self.store.payment_of_order(request.path_params["order_id"]))

    def _by_key(self, request: Request) -> Any:
        return self._books.find(self.store.payment(request.path_params["payment_key"]))

    def _journal(self, request: Request) -> Any:
        query = request.query_params
        try:
            start, end = (datetime.fromisoformat(query[name]) for name in ("startDate", "endDate"))
            limit = int(query.get("limit", "100"))
        except (KeyError, ValueError) as error:
            raise Refused("INVALID_REQUEST") from error
        # Whole seconds are asked for: what was booked within the last one counts.
        end = _korean(end) + timedelta(seconds=1)
        return self.store.journal(_korean(start), end, query.get("startingAfter"), min(limit, 5000), whole=False)

    def _get(
        self, find: Callable[[Request], Any], refuse: Refuse = _failed
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            path = request.url.path
            try:
                self._check_authorization(request.headers, refuse)
                fault = self.store.take_fault(f"GET {path}", ("timeout_before", "error"))
                if fault is not None and fault["kind"] == "error":
                    raise refuse(fault["code"])
                if fault is not None:
                    await asyncio.sleep(fault["seconds"])
                return _json(200, find(request))
            except Refused as refused:
                return _response(_refusal(refused))

        return endpoint

    def _post(
        self, act: Callable[[Request, Mapping[str, Any]], dict[str, Any]], refuse: Refuse = _failed
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return _response(
                await self._called(request.url.path, request.headers, body, lambda given: act(request, given), refuse)
            )

        return endpoint

    async def _called(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        act: Callable[[Mapping[str, Any]], dict[str, Any]],
        refuse: Refuse,
    ) -> Answer:
        try:
            self._check_authorization(headers, refuse)
            given = _read(body, headers)
            key = headers.get("idempotency-key")
            if key is not None and len(key) > MAX_KEY:
                raise Refused("INVALID_IDEMPOTENCY_KEY", "멱등키는 300자 이하입니다.")
            if key is not None and refuse is StripeRefused:
                self._check_same(key, path, given)
            return await self._once(key, path, lambda: act(given), refuse)
        except Refused as refused:
            return _refusal(refused)

    def _check_same(self, key: str, path: str, body: Mapping[str, Any]) -> None:
        """A key stands for one request: Stripe refuses another one with it."""
        digest = sha256(path.encode() + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
        with self.store.change():
            if self.store.is_another(key, digest):
                raise StripeRefused("idempotency_error")

    async def _once(self, key: str | None, path: str, work: Work, refuse: Refuse) -> Answer:
        """Carry out ``work`` and keep its answer in one transaction, or give the answer kept for the key."""
        if key is None:
            return await self._answer(None, path, work, refuse)
        if key in self._processing:
            raise StripeRefused("idempotency_key_in_use") if refuse is StripeRefused else Refused(IN_PROCESS)
        if kept := self.store.answer(key):
            return Answer(*kept)
        self._processing.add(key)
        try:
            return await self._answer(key, path, work, refuse)
        finally:
            self._processing.discard(key)

    async def _answer(self, key: str | None, path: str, work: Work, refuse: Refuse) -> Answer:
        fault = self.store.take_fault(f"POST {path}", ("timeout_before", "timeout_after", "error", "error_after"))
        if fault is None:
            return await self._commits.submit((key, work))
        kind, scripted = fault["kind"], refuse(fault["code"])
        if kind == "timeout_before":
            await asyncio.sleep(fault["seconds"])
            return _refusal(refuse(None))
        if kind == "error":
            return self._keep(key, _refusal(scripted))
        answer = await self._commits.submit((key, work))
        if kind == "timeout_after":
            await asyncio.sleep(fault["seconds"])
        return self._keep(key, _refusal(scripted)) if kind == "error_after" else answer

    async def _commit(self, calls: Sequence[tuple[str | None, Work]]) -> list[Answer]:
        """Carry out the calls that came at the same time, each with its answer, in one transaction."""
        with self.store.change():
            return [self._keep(key, self._work(work)) for key, work in calls]

    def _work(self, work: Work) -> Answer:
        try:
            return Answer(200, orjson.dumps(work()))
        except Refused as refused:
            return _refusal(refused)

    def _keep(self, key: str | None, answer: Answer) -> Answer:
        if key is not None:
            self.store.keep_answer(key, answer.status, answer.body)
        return answer

    def _demo(self, act: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body = _read(await request.body(), request.headers)
                with self.store.change():
                    return _json(200, act(body))
            except Refused as refused:
                return _response(_refusal(refused))

        return endpoint

    def _script(self, body: Mapping[str, Any]) -> dict[str, Any]:
        kind = str(body.get("kind", ""))
        if kind not in KINDS:
            raise Refused("INVALID_REQUEST", f"kind is one of {', '.join(sorted(KINDS))}")
        path = "webhook" if kind.endswith("webhook") else str(body.get("path", "/v1/"))
        times = int(body.get("times", 1))
        self.store.add_fault(kind, path, body.get("code"), float(body.get("seconds", 30.0)), times)
        return {"kind": kind, "path": path, "times": times}

    async def _clear(self, _request: Request) -> Response:
        self.store.clear_faults()
        return _json(200, {})

    def _check_authorization(self, headers: Mapping[str, str], refuse: Refuse) -> None:
        given = headers.get("authorization", "").encode()
        if not any(hmac.compare_digest(given, each) for each in self._authorizations):
            raise refuse("authentication_error" if refuse is StripeRefused else "UNAUTHORIZED_KEY")


def create_simulator(
    state: Path,
    *,
    secret_key: str = "test_sk_dure",
    webhook_secret: str = "whsec_dure",
    minute_seconds: float = 60.0,
) -> Simulator:
    """The provider with its books in the file ``state``; ``webhook_secret`` signs the webhooks of its Stripe face.
    ``minute_seconds``: how long a minute between webhook deliveries lasts."""
    return Simulator(state, secret_key=secret_key, webhook_secret=webhook_secret, minute_seconds=minute_seconds)


def _korean(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=KST)


def _read(given: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    if headers.get("content-type") == "application/x-www-form-urlencoded":
        return form(given)
    try:
        body = orjson.loads(given or b"{}")
    except orjson.JSONDecodeError as error:
        raise Refused("INVALID_REQUEST") from error
    if not isinstance(body, dict):
        raise Refused("INVALID_REQUEST")
    return body


def _refusal(refused: Refused) -> Answer:
    return Answer(refused.status, orjson.dumps(refused.body))


def _json(status: int, body: Any) -> Response:
    return _response(Answer(status, orjson.dumps(body)))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type="application/json")
