"""Names and versions of the core specifications a supergraph may link to."""

from __future__ import annotations

from dataclasses import dataclass

SPECS = "https://specs.apollo.dev/"

LINK = "link"
CORE = "core"
JOIN = "join"
INACCESSIBLE = "inaccessible"
TAG = "tag"
AUTHENTICATED = "authenticated"
REQUIRES_SCOPES = "requiresScopes"
POLICY = "policy"
COST = "cost"
CONTEXT = "context"
CONNECT = "connect"
SOURCE = "source"
CACHE_TAG = "cacheTag"
FEDERATION = "federation"

JOIN_VERSIONS = frozenset({"v0.1", "v0.2", "v0.3", "v0.4", "v0.5"})

UNDERSTOOD: dict[str, frozenset[str] | None] = {
    LINK: frozenset({"v1.0"}),
    CORE: frozenset({"v0.1", "v0.2"}),
    JOIN: JOIN_VERSIONS,
    INACCESSIBLE: frozenset({"v0.1", "v0.2"}),
    TAG: None,
    AUTHENTICATED: frozenset({"v0.1"}),
    REQUIRES_SCOPES: frozenset({"v0.1"}),
    POLICY: frozenset({"v0.1"}),
    COST: frozenset({"v0.1"}),
    CONTEXT: frozenset({"v0.1"}),
    CONNECT: None,
    SOURCE: None,
    CACHE_TAG: None,
    FEDERATION: None,
}
"""Versions of each feature the router can honour; None: any."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One ``@link`` or ``@core`` of a schema: which specification, and under which names its elements appear."""

    url: str
    identity: str
    version: str
    alias: str
    imports: tuple[tuple[str, str], ...] = ()
    purpose: str | None = None

    @property
    def name(self) -> str:
        """The specification's own short name, the last part of its identity."""
        return self.identity.rsplit("/", 1)[-1]

    @property
    def known(self) -> bool:
        """Whether the router can honour this feature as it is linked."""
        if not self.identity.startswith(SPECS) or self.name not in UNDERSTOOD:
            return False
        versions = UNDERSTOOD[self.name]
        return versions is None or self.version in versions

    def directive(self, name: str) -> str:
        """The name under which the specification's directive ``name`` appears in the schema (link v1.0, "Names")."""
        for original, local in self.imports:
            if original == f"@{name}":
                return local.removeprefix("@")
        return self.alias if name == self.name else f"{self.alias}__{name}"

    def element(self, name: str) -> str:
        """The name under which the specification's type ``name`` appears in the schema."""
        for original, local in self.imports:
            if original == name:
                return local
        return f"{self.alias}__{name}"


def parse_feature_url(url: str) -> tuple[str, str]:
    """Split a feature URL into identity and version; the version is empty if the URL has none."""
    head, _, tail = url.rstrip("/").rpartition("/")
    if head and tail[:1] == "v" and tail[1:2].isdigit():
        return head, tail
    return url.rstrip("/"), ""
