"""What the executor asks of a subgraph, and the transport that needs no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from router.errors import RequestErrorCode, SubgraphError
from router.query_plan.nodes import OperationKind


class SubgraphRequest(msgspec.Struct):
    """One operation for one subgraph. ``variables`` hold JSON values; ``headers`` go with it, names in lower case.

    ``deadline`` is when the answer comes too late, on ``time.monotonic()``'s clock.
    """

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    headers: dict[str, str]
    kind: OperationKind
    deadline: float | None = None


class SubgraphResponse(msgspec.Struct):
    """The subgraph's answer. The executor owns ``data`` from now on and will change it.

    ``cache_control`` is the HTTP header of that name.
    """

    data: dict[str, Any] | None
    errors: list[dict[str, Any]] | None = None
    extensions: dict[str, Any] | None = None
    cache_control: str | None = None


class Transport(Protocol):
    """A way to one subgraph. Every failure to get an answer is raised as SubgraphError."""

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        """Run a query or a mutation."""
        ...

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Run a subscription; closing the iterator ends it."""
        ...

    async def close(self) -> None:
        """Give back what the transport holds."""
        ...


class InProcessTransport:
    """Calls a subgraph in this process: no HTTP and no JSON between."""

    def __init__(
        self,
        execute: Callable[[SubgraphRequest], Awaitable[SubgraphResponse]],
        subscribe: Callable[[SubgraphRequest], AsyncIterator[SubgraphResponse]] | None = None,
    ) -> None:
        self._execute = execute
        self._subscribe = subscribe

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        """Run a query or a mutation."""
        return await self._execute(request)

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Run a subscription. Raises SubgraphError if this subgraph was given none."""
        if self._subscribe is None:
            raise SubgraphError(RequestErrorCode.SUBGRAPH_ERROR, "The subgraph offers no subscriptions.")
        return self._subscribe(request)

    async def close(self) -> None:
        """Nothing is held."""
