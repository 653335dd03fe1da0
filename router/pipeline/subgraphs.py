"""The transports to a supergraph's subgraphs, as the settings say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping

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
    """Transports by subgraph name, all of them guarded. Those that were not given are made here, and kept: there are
    few configurations in the life of a process, and streams may still use those of an earlier one."""

    def __init__(self, given: Mapping[str, Transport] | None = None) -> None:
        self._given = dict(given or {})
        self._made: dict[Hashable, Transport] = {}
        self._clients: dict[Hashable, HttpClient] = {}
        self._guarded: dict[Hashable, GuardedTransport] = {}

    def of(
        self, supergraph: Supergraph, settings: Settings, telemetry: Telemetry | None = None
    ) -> dict[str, GuardedTransport]:
        """The transports of a supergraph. Connections, and what is known of the subgraphs' health, are shared by all
        supergraphs that have them, as long as their settings are the same."""
        found: dict[str, GuardedTransport] = {}
        for name, subgraph in supergraph.subgraphs.items():
            own = settings.subgraphs.get(name, SubgraphSettings())
            transport = self._given.get(name) or self._http(name, own.url or subgraph.url, own, settings)
            if transport is not None:
                found[name] = self._guard(name, transport, _guards(settings, own), telemetry)
        return found

    async def close(self) -> None:
        """Close every transport, given ones too."""
        guarded = {id(transport.inner) for transport in self._guarded.values()}
        rest = [each for each in (*self._given.values(), *self._made.values()) if id(each) not in guarded]
        for transport in (*self._guarded.values(), *rest):
            await transport.close()

    def _guard(self, name: str, transport: Transport, guards: Guards, telemetry: Telemetry | None) -> GuardedTransport:
        key = (name, id(transport), guards)
        guarded = self._guarded.get(key)
        if guarded is None:
            guarded = GuardedTransport(transport, guards, _announce(name, telemetry))
            self._guarded[key] = guarded
        return guarded

    def _http(self, name: str, url: str, own: SubgraphSettings, settings: Settings) -> Transport | None:
        if not url:
            return None
        pool = (settings.http_client, own.timeout or settings.subgraph_timeout, settings.connect_timeout)
        key = (name, url, pool, settings.subgraph_response_bytes, own.model_dump_json())
        made = self._made.get(key)
        if made is None:
            client = self._clients.get(pool)
            if client is None:
                client = self._clients[pool] = open_client(pool[0], timeout=pool[1], connect_timeout=pool[2])
            made = HttpTransport(url, client, max_bytes=settings.subgraph_response_bytes, trusted=own.trust_answers)
            if own.subscriptions == "ws":
                made = WebSocketTransport(made, own.subscriptions_url or url, settings.subgraph_response_bytes)
            self._made[key] = made
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
    def announce(state: State) -> None:
        level = logging.INFO if state is State.CLOSED else logging.WARNING
        logger.log(level, "breaker of subgraph %s: %s", name, state.value)
        if telemetry is not None:
            telemetry.breaker(name, state.value)

    return announce
