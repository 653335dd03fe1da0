"""``@policy``: who decides which policies a request fulfils.

A token may list policies (``tokens.policies_claim``). For those that it does not list, an operator's own function or
service is asked, once a request, and only for policies that the operation meets. Nobody is asked for what no field
needs. If it fails, the request is refused: what is not known to be allowed is not.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from router.errors import RequestError, RequestErrorCode, SourceError
from router.executor.http_client import HttpClient, open_client
from router.pipeline.callers import Caller
from router.settings import Settings

logger = logging.getLogger(__name__)

MAX_ANSWER = 64 * 1024
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """Which of ``policies`` does this request fulfil? ``headers`` are those that subgraphs get, without claims."""

    policies: frozenset[str]
    subject: str | None
    session: str | None
    roles: tuple[str, ...]
    scopes: frozenset[str]
    client: str
    operation: str | None
    kind: str
    headers: Mapping[str, str]


Decide = Callable[[PolicyQuestion], Awaitable[Collection[str]] | Collection[str]]
"""Gives the policies that are fulfilled; any others than those asked for are ignored."""


class Policies:
    """Asks who decides."""

    def __init__(self, settings: Settings) -> None:
        """Raises SourceError for a function that cannot be had."""
        self._client: HttpClient | None = None
        self._decide = self._decider(settings)
        self._timeout = settings.policies.timeout

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return self._decide is not None

    async def fulfilled(
        self,
        policies: frozenset[str],
        caller: Caller,
        operation: str | None,
        kind: str,
        headers: Callable[[], Mapping[str, str]],
    ) -> frozenset[str]:
        """Those of ``policies`` that the caller fulfils, by the token or by decision. Raises RequestError (503)."""
        identity = caller.identity
        known = policies & identity.policies
        asked = policies - known
        if self._decide is None or not asked:
            return known
        question = PolicyQuestion(
            asked,
            identity.subject,
            identity.session,
            identity.roles,
            identity.scopes,
            caller.client.name,
            operation,
            kind,
            headers(),
        )
        return known | (asked & frozenset(await self._ask(self._decide, question)))

    async def close(self) -> None:
        """Give back connections."""
        if self._client is not None:
            await self._client.close()

    def _decider(self, settings: Settings) -> Decide | None:
        given = settings.policies
        if given.function is not None:
            return _function(given.function)
        if given.url is None:
            return None
        timeouts = {"timeout": given.timeout, "connect_timeout": settings.connect_timeout}
        self._client = open_client(settings.http_client, **timeouts)
        return _service(given.url, self._client)

    async def _ask(self, decide: Decide, question: PolicyQuestion) -> Collection[str]:
        try:
            async with asyncio.timeout(self._timeout):
                answer = decide(question)
                granted = await answer if inspect.isawaitable(answer) else answer
            if isinstance(granted, str) or not all(isinstance(one, str) for one in granted):
                raise TypeError("policies must be given as a collection of strings")
            return granted
        except Exception:
            # It is the operator's code, or far away: whatever it does, nothing is allowed that it has not said.
            logger.exception("policies could not be decided")
            message = "Policies cannot be decided at the moment."
            raise RequestError(RequestErrorCode.FORBIDDEN, message, status=503, malformed=True, retry_after=1) from None


def _function(path: str) -> Decide:
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SourceError(f'The policies\' function "{path}" cannot be had: {error}.') from error
    if not callable(found):
        raise SourceError(f'The policies\' function "{path}" is no function.')
    decide: Decide = found
    return decide


def _service(url: str, client: HttpClient) -> Decide:
    """``POST`` of the question as JSON; the answer is ``{"granted": [...]}``."""

    async def decide(question: PolicyQuestion) -> Collection[str]:
        body = orjson.dumps(question, default=sorted)
        answer = await client.post(url, body, {"content-type": "application/json"}, MAX_ANSWER)
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        granted = orjson.loads(answer.body)["granted"]
        if not isinstance(granted, list):
            raise TypeError("granted must be a list")
        return granted

    return decide
