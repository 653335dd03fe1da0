"""``@cacheControl``: what the router may keep of answers, with Apollo Server's meaning (see docs/caching.md).

A type or field with a hint is for everybody: the router asks for it as nobody and shows it to all. Never put a hint on
what is different for callers, and give such a field of a hinted type ``NEVER``: leaves inherit their type's age.
"""

from __future__ import annotations

import strawberry
from strawberry.schema_directive import Location


@strawberry.federation.schema_directive(
    locations=[Location.OBJECT, Location.FIELD_DEFINITION],
    name="cacheControl",
    compose=True,
    import_url="https://dure.dev/cacheControl/v0.1",
)
class CacheControl:
    """``max_age`` in seconds; or as long as what it is part of."""

    max_age: int | None = strawberry.UNSET
    inherit_max_age: bool | None = strawberry.UNSET


def kept(seconds: int) -> CacheControl:
    """At most so long. What events purge may have minutes, what nothing tells of has seconds."""
    return CacheControl(max_age=seconds)


INHERITED = CacheControl(inherit_max_age=True)
"""As long as what it is part of: for values, and for edges of connections."""

NEVER = CacheControl(max_age=0)
