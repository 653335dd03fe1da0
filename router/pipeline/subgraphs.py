"""The transports to a supergraph's subgraphs, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping

from router.executor.http_client import HttpClient, open_client
from router.executor.http_transport import HttpTransport
from router.executor.transport import Transport
from router.executor.ws_transport import WebSocketTransport
from router.settings import Settings, SubgraphSettings
from router.supergraph.model import Supergraph


class Subgraphs:
    """Transports by subgraph name. Those that were given are used as they are, the others are made here."""

    def __init__(self, settings: Settings, given: Mapping[str, Transport] | None = None) -> None:
        self._settings = settings
        self._given = dict(given or {})
        self._made: dict[tuple[str, str], Transport] = {}
        self._clients: dict[float, HttpClient] = {}

    def of(self, supergraph: Supergraph) -> dict[str, Transport]:
        """The transports of a supergraph; connections to subgraphs that it shares with others are shared."""
        found: dict[str, Transport] = {}
        for name, subgraph in supergraph.subgraphs.items():
            own = self._settings.subgraphs.get(name, SubgraphSettings())
            transport = self._given.get(name) or self._http(name, own.url or subgraph.url, own)
            if transport is not None:
                found[name] = transport
        return found

    async def close(self) -> None:
        """Close every transport, given ones too."""
        for transport in (*self._given.values(), *self._made.values()):
            await transport.close()

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
