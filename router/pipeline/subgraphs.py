"""The transports to a supergraph's subgraphs, as the settings say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from router.executor.http_client import HttpClient, open_client
from router.executor.http_transport import HttpTransport
from router.executor.resilience.breaker import BreakerLimits, State
from router.executor.resilience.bulkhead import BulkheadLimits
from router.executor.resilience.guarded import GuardedTransport, Guards
from router.executor.resilience.retry import RetryLimits
from router.executor.transport import Transport
from router.executor.ws_transport import WebSocketTransport
from router.settings import Settings, SubgraphSettings
from router.supergraph.model import Supergraph
from router.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Subgraphs:
    """Transports by subgraph name, all of them guarded. Those that were not given are made here."""

    def __init__(self, settings: Settings, given: Mapping[str, Transport] | None = None) -> None:
        self._settings = settings
        self._given = dict(given or {})
        self._made: dict[tuple[str, str], Transport] = {}
        self._clients: dict[float, HttpClient] = {}
        self._guarded: dict[tuple[str, int], GuardedTransport] = {}

    def of(self, supergraph: Supergraph, telemetry: Telemetry | None = None) -> dict[str, Transport]:
        """The transports of a supergraph. Connections, and what is known of the subgraphs' health, are shared by all
        supergraphs that have them."""
        found: dict[str, Transport] = {}
        for name, subgraph in supergraph.subgraphs.items():
            own = self._settings.subgraphs.get(name, SubgraphSettings())
            transport = self._given.get(name) or self._http(name, own.url or subgraph.url, own)
            if transport is not None:
                found[name] = self._guard(name, transport, own, telemetry)
        return found

    async def close(self) -> None:
        """Close every transport, given ones too."""
        guarded = {id(transport.inner) for transport in self._guarded.values()}
        rest = [each for each in (*self._given.values(), *self._made.values()) if id(each) not in guarded]
        for transport in (*self._guarded.values(), *rest):
            await transport.close()

    def _guard(
        self, name: str, transport: Transport, own: SubgraphSettings, telemetry: Telemetry | None
    ) -> GuardedTransport:
        key = (name, id(transport))
        guarded = self._guarded.get(key)
        if guarded is None:
            guards = _guards(self._settings, own)
            # A subgraph in this process is cut off by the same clock, and needs not be told.
            tell = name not in self._given
            guarded = GuardedTransport(transport, guards, _announce(name, telemetry), tell_deadline=tell)
            self._guarded[key] = guarded
        return guarded

    def _http(self, name: str, url: str, own: SubgraphSettings) -> Transport | None:
        if not url:
            return None
        made = self._made.get((name, url))
        if made is None:
            settings = self._settings
            timeout = own.timeout or settings.subgraph_timeout
            client = self._clients.get(timeout)
            if client is None:
                client = open_client(settings.http_client, timeout=timeout, connect_timeout=settings.connect_timeout)
                self._clients[timeout] = client
            made = HttpTransport(url, client, max_bytes=settings.subgraph_response_bytes, trusted=own.trust_answers)
            if own.subscriptions == "ws":
                made = WebSocketTransport(made, own.subscriptions_url or url, settings.subgraph_response_bytes)
            self._made[name, url] = made
        return made


def _guards(settings: Settings, own: SubgraphSettings) -> Guards:
    given = settings.resilience
    return Guards(
        own.timeout or settings.subgraph_timeout,
        RetryLimits(given.retries, given.retry_budget, given.retry_shortest, given.retry_longest),
        BreakerLimits(
            given.breaker_ratio, given.breaker_calls, given.breaker_window, given.breaker_open, given.breaker_probes
        ),
        BulkheadLimits(given.in_flight, given.queue, given.queue_wait),
        given.streams,
    )


def _announce(name: str, telemetry: Telemetry | None) -> Callable[[State], None]:
    if telemetry is not None:
        telemetry.breaker(name, State.CLOSED.value)

    def announce(state: State) -> None:
        level = logging.INFO if state is State.CLOSED else logging.WARNING
        logger.log(level, "breaker of subgraph %s: %s", name, state.value)
        if telemetry is not None:
            telemetry.breaker(name, state.value)

    return announce
