"""What an answer itself says of how long it may be kept. It can only make that shorter than the schema says."""

from __future__ import annotations

import re
from typing import Any

from router.executor.entity_cache.policy import Policy
from router.executor.transport import SubgraphResponse

_DIRECTIVE = re.compile(r'\s*([^\s=,;"]+)\s*(?:=\s*(?:"([^"]*)"|([^,"]*)))?\s*(?:,|$)')


def told_age(response: SubgraphResponse, policy: Policy) -> float:
    """Seconds that the answer may be kept; 0: not at all, or not for everybody where the schema thought so."""
    extension = (response.extensions or {}).get("cacheControl")
    return min(_by_extension(extension, policy), _by_header(response.cache_control, policy))


def _by_extension(told: Any, policy: Policy) -> float:
    if not isinstance(told, dict):
        return policy.max_age
    if told.get("scope") == "PRIVATE" and not policy.private:
        return 0
    age = told.get("maxAge")
    return min(policy.max_age, age) if isinstance(age, int) else policy.max_age


def _by_header(header: str | None, policy: Policy) -> float:
    """``Cache-Control`` as a shared cache reads it (RFC 9111, 5.2.2). What cannot be read says: do not keep it."""
    if not header:
        return policy.max_age
    directives = {name.lower(): quoted or plain for name, quoted, plain in _DIRECTIVE.findall(header)}
    if "no-store" in directives or "no-cache" in directives or ("private" in directives and not policy.private):
        return 0
    age = directives.get("s-maxage", directives.get("max-age"))
    if age is None:
        return policy.max_age
    return min(policy.max_age, int(age[:10])) if age.strip().isdecimal() else 0
