"""Which pages of other origins may call the graph: the CSRF guard and CORS."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from router.errors import RequestError, RequestErrorCode
from router.pipeline.asgi import RawHeaders
from router.settings import Settings

ALLOWED_HEADERS = b"content-type, authorization, traceparent, tracestate, idempotency-key"


class Origins:
    """Decides by ``Origin`` and ``Sec-Fetch-Site``, which pages cannot forge."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.cors_origins)
        self._csrf_headers = settings.csrf_headers

    def check_get(self, headers: Mapping[str, str]) -> None:
        """Refuse a GET that another site's page made a browser send. Raises RequestError (403).

        A POST needs no check: its JSON content type makes browsers ask first. Clients that are no browsers send
        neither header.
        """
        if any(name in headers for name in self._csrf_headers):
            return
        origin = headers.get("origin")
        if origin is not None and self._is_allowed(origin):
            return
        site = headers.get("sec-fetch-site")
        if site in ("same-origin", "none"):
            return
        if site is None and (origin is None or _is_own(origin, headers)):
            return
        message = f"Requests from other sites need one of the headers {', '.join(self._csrf_headers)}."
        raise RequestError(RequestErrorCode.CSRF_PREVENTED, message, status=403, malformed=True)

    def may_open_socket(self, headers: Mapping[str, str]) -> bool:
        """Whether a page may open a WebSocket: browsers ask nobody before they do."""
        origin = headers.get("origin")
        return origin is None or self._is_allowed(origin) or _is_own(origin, headers)

    def response_headers(self, headers: Mapping[str, str]) -> RawHeaders:
        """CORS headers for the answer to a page that may read it."""
        origin = headers.get("origin")
        if origin is None or not self._is_allowed(origin):
            return []
        return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]

    def preflight_headers(self, headers: Mapping[str, str], methods: bytes = b"GET, POST") -> RawHeaders:
        """CORS headers for a browser's question."""
        allowed = self.response_headers(headers)
        if not allowed:
            return []
        names = ALLOWED_HEADERS + b"".join(b", " + name.encode() for name in self._csrf_headers)
        return [
            *allowed,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", names),
            (b"access-control-max-age", b"600"),
        ]

    def _is_allowed(self, origin: str) -> bool:
        return origin in self._allowed or "*" in self._allowed


def _is_own(origin: str, headers: Mapping[str, str]) -> bool:
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False
