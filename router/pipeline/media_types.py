"""Which media type an answer gets (RFC 9110, 12.5.1; GraphQL over HTTP, "Media types")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed"


@dataclass(frozen=True, slots=True)
class Accepted:
    """``single``: for a whole answer; ``stream``: for several payloads. None where the client takes neither."""

    single: str | None
    stream: str | None
    html: bool = False


@lru_cache(maxsize=1024)
def accepted(header: str | None) -> Accepted:
    """What the client takes, best first. No header means ``application/json``, as for clients of old."""
    if header is None or not header.strip():
        return Accepted(JSON, None)
    ranges = _ranges(header)
    singles = [(JSON, _quality(ranges, JSON)), (RESPONSE_JSON, _quality(ranges, RESPONSE_JSON))]
    streams = [(name, ranges.get(name, 0.0)) for name in (MULTIPART, EVENT_STREAM)]
    return Accepted(_best(singles, ranges), _best(streams, ranges), ranges.get("text/html", 0.0) > 0)


@lru_cache(maxsize=1024)
def takes(header: str | None, media_type: str) -> bool:
    """Whether an ``Accept`` header allows a media type."""
    return header is None or not header.strip() or _quality(_ranges(header), media_type) > 0


@lru_cache(maxsize=1024)
def is_json(content_type: str | None) -> bool:
    """Whether a request body is declared as JSON in UTF-8."""
    name, _, parameters = (content_type or "").partition(";")
    charset = next((p.partition("=")[2] for p in parameters.split(";") if p.strip().lower().startswith("charset")), "")
    return name.strip().lower() == JSON and charset.strip(' "').lower() in ("", "utf-8", "utf8")


def _ranges(header: str) -> dict[str, float]:
    """Media ranges in the client's order, with their quality."""
    ranges: dict[str, float] = {}
    for entry in header.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if name:
            ranges.setdefault(name, quality)
    return ranges


def _quality(ranges: dict[str, float], name: str) -> float:
    """The most specific range decides."""
    for candidate in (name, name.partition("/")[0] + "/*", "*/*"):
        if candidate in ranges:
            return ranges[candidate]
    return 0.0


def _best(offers: list[tuple[str, float]], ranges: dict[str, float]) -> str | None:
    """The offer of the highest quality; among equals the one the client named first, then our order."""
    order = list(ranges)
    found = [offer for offer in offers if offer[1] > 0]
    found.sort(key=lambda offer: (-offer[1], order.index(offer[0]) if offer[0] in ranges else len(order)))
    return found[0][0] if found else None
