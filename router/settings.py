"""Every setting of the router, with its default. Environment: ``ROUTER_`` and the name in capitals.

Times are in seconds, sizes in bytes. A nested setting is reached by a double underscore:
``ROUTER_LIMITS__DEPTH=20``. A configuration file (``--config router.yaml``) holds the same names; the environment wins
over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from router.errors import SourceError

KIB = 1024


class Limits(BaseModel):
    """What a request may ask for. Counting remembers fragments, so it costs no more than the document's length."""

    body_bytes: int = Field(default=256 * KIB, description="Request body; more is answered with 413.")
    header_bytes: int = Field(default=32 * KIB, description="All headers; more is answered with 431.")
    headers: int = Field(default=100, description="Number of headers; more is answered with 431.")
    document_bytes: int = Field(default=64 * KIB, description="Operation text.")
    tokens: int = Field(default=2_000, description="Lexical tokens of a document.")
    comments: int = Field(default=50, description="Comments of a document.")
    depth: int = Field(default=12, description="Nesting of fields. Introspection is not counted.")
    aliases: int = Field(default=30, description="Aliased fields, fragments expanded.")
    root_fields: int = Field(default=10, description="Root fields of a query, fragments expanded.")
    mutation_root_fields: int = Field(default=5, description="Root fields of a mutation.")
    single_root_fields: tuple[str, ...] = Field(
        default=(), description="Mutation fields that must be alone in their operation: log-in, payment."
    )
    fields_anonymous: int = Field(
        default=500, description="Fields of an anonymous caller's operation, fragments expanded."
    )
    fields_signed_in: int = Field(
        default=1_500, description="Fields of a signed-in caller's operation, fragments expanded."
    )
    same_key: int = Field(default=20, description="Selections of one response key in one selection set.")
    directives: int = Field(default=20, description="Directives of a document.")
    directives_per_place: int = Field(default=3, description="Directives at one place.")
    operations: int = Field(default=5, description="Operations in a document.")
    name_length: int = Field(default=128, description="Length of any name.")
    variables: int = Field(default=50, description="Variables of an operation.")
    representations: int = Field(default=1_000, description="Representations in one entity request; more are split.")
    validation_errors: int = Field(default=10, description="Validation errors that are reported.")


class TlsSettings(BaseModel):
    """HTTPS at the router's own door. Both files, or plain HTTP (behind a proxy that ends TLS)."""

    certificate: Path | None = Field(
        default=None, description="The certificate with those between it and its root, PEM. New files are followed."
    )
    key: Path | None = Field(default=None, description="Its private key, PEM, without a password.")
    hsts: int = Field(
        default=31_536_000,
        ge=0,
        description="How long browsers shall come by HTTPS only (`Strict-Transport-Security`). 0: they are not told.",
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            missing = "certificate" if self.certificate is None else "key"
            raise ValueError(f"a certificate and its key belong together: `tls.{missing}` is not set")
        return self


class TokenSettings(BaseModel):
    """Which access tokens (JWT) are accepted."""

    jwks_url: str | None = Field(
        default=None, description="Where the issuer publishes its keys. None: no tokens are accepted."
    )
    issuer: str | None = Field(default=None, description="Required value of `iss`.")
    audience: str | None = Field(default=None, description="Required value of `aud`.")
    algorithms: tuple[str, ...] = Field(
        default=("EdDSA", "Ed25519", "RS256", "ES256"), description="Accepted algorithms."
    )
    leeway: float = Field(default=5.0, description="Clock difference that is forgiven.")
    jwks_lifetime: float = Field(
        default=300.0, description="Keys are fetched anew after this, and for an unknown key id."
    )
    policies_claim: str = Field(default="policies", description="The claim that lists fulfilled policies.")
    cache_size: int = Field(default=10_000, description="Verified tokens that are remembered until they expire.")


class PolicySettings(BaseModel):
    """Who decides about `@policy`, beside the token's own list."""

    function: str | None = Field(
        default=None,
        description="`package.module:function` of yours, plain or async: given a `PolicyQuestion`, it gives the "
        "policies that the request fulfils. It must not block.",
    )
    url: str | None = Field(
        default=None,
        description='A service that is sent the question as JSON (POST) and answers `{"granted": [...]}`. Not in '
        "force where there is a function.",
    )
    timeout: float = Field(default=1.0, gt=0, description="One decision; without it the request is refused.")


class SubgraphSettings(BaseModel):
    """What differs for one subgraph."""

    url: str | None = Field(default=None, description="In place of the supergraph's routing URL.")
    timeout: float | None = Field(default=None, description="In place of `subgraph_timeout`.")
    subscriptions: Literal["sse", "ws"] = Field(default="sse", description="Protocol of its subscriptions.")
    subscriptions_url: str | None = Field(
        default=None, description="For subscriptions over WebSocket; default: the URL."
    )
    trust_answers: bool = Field(
        default=False,
        description="Pass answers through unread where a plan is one fetch of the client's own shape. Only for "
        "subgraphs whose server is known to keep to its schema: their values are not checked again.",
    )


class Rate(BaseModel):
    """A token bucket: so many requests at once, and then so many a second."""

    per_second: float = Field(gt=0, description="Requests a second, in the long run.")
    burst: int = Field(ge=1, description="Requests at once, after a pause.")


class RateLimits(BaseModel):
    """How often callers may ask. A client with a rate of its own is held to that alone. See `shared`."""

    enabled: bool = Field(default=True, description="Answer those who ask too often with 429.")
    anonymous: Rate = Field(
        default_factory=lambda: Rate(per_second=10, burst=20), description="Of one address, without a valid token."
    )
    signed_in: Rate = Field(default_factory=lambda: Rate(per_second=30, burst=60), description="Of one person.")
    callers: int = Field(default=100_000, description="Callers that this process remembers.")


class SharedSettings(BaseModel):
    """What several routers know together: the buckets of the rate limits, and automatic persisted queries."""

    redis_url: str | None = Field(
        default=None,
        description="redis:// URL. None, and while Redis is away: each router has its own.",
    )
    timeout: float = Field(default=0.05, gt=0, description="One use; after a failure Redis is left alone for a second.")
    prefix: str = Field(default="router:", description="Begins every key: one for all routers that belong together.")


class ClientSettings(BaseModel):
    """A program that uses the graph: a front end, a partner's integration."""

    model_config = ConfigDict(extra="forbid")

    keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="SHA-256 hashes (hexadecimal) of its API keys. None: its manifest is for everybody.",
    )
    manifest: Path | None = Field(
        default=None, description="Its persisted operations, as an Apollo persisted query manifest."
    )
    safelist: bool = Field(default=False, description="It may run the operations of its manifest and no others.")
    cost: int | None = Field(default=None, description="In place of the cost limits for people.")
    rate: Rate | None = Field(default=None, description="In place of the rate limits for people.")


class CostSettings(BaseModel):
    """Demand control: what an operation may cost, estimated from `@cost` and `@listSize` before it runs."""

    enabled: bool = Field(default=True, description="Refuse operations that cost more than their caller may spend.")
    anonymous: int = Field(default=1_000, description="Cost of an anonymous caller's operation.")
    signed_in: int = Field(default=5_000, description="Cost of a signed-in caller's operation.")
    list_size: int = Field(default=10, description="Length of a list of which nothing else is known.")
    list_size_max: int | None = Field(
        default=100, description="Longest page that subgraphs give, whatever is asked. None: as long as asked."
    )
    mutation: int = Field(default=10, description="Added for a mutation.")


class CacheSettings(BaseModel):
    """What subgraphs answered and hints (`@cacheControl`) allow to be kept. See docs/caching.md."""

    enabled: bool = Field(default=False, description="Keep answers.")
    redis_url: str | None = Field(
        default=None, description="redis:// URL of a store that several routers share. None: this process's memory."
    )
    prefix: str = Field(
        default="router:cache:",
        description="Redis: begins every key. Give each graph that shares a server with another one its own.",
    )
    max_age: int = Field(default=3_600, description="Nothing is kept longer, whatever hints say.")
    memory_bytes: int = Field(default=64 * KIB * KIB, description="In memory: all entries together.")
    hold: float = Field(
        default=0.0,
        description="So long after a purge nothing with its tag counts: as long as a read replica may be behind.",
    )
    invalidation_secret: SecretStr | None = Field(
        default=None,
        description="Opens `POST /invalidation` on the operators' port to those who send it as `Authorization`.",
    )
    timeout: float = Field(default=0.05, description="Redis: one use; after a failure the cache rests for a second.")
    purges_remembered: int = Field(
        default=100_000, description="Tags whose purges are remembered; with more of them the cache begins anew."
    )
    ignore_headers: tuple[str, ...] = Field(
        default=(
            "traceparent",
            "tracestate",
            "baggage",
            "idempotency-key",
            "x-request-id",
            "user-agent",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
        ),
        description="Forwarded headers that change no answer. Each value of any other has entries of its own.",
    )


class PersistedSettings(BaseModel):
    """Operations that are named instead of sent: automatic persisted queries, and those of manifests."""

    automatic: bool = Field(
        default=True, description="Accept texts that clients register by their hash, unless on a safelist."
    )
    size: int = Field(default=1_000, description="Texts that are kept in this process.")
    lifetime: float = Field(default=86_400.0, description="How long Redis keeps a text after its last use.")
    refuse_broken: bool = Field(
        default=True,
        description="Refuse a new supergraph, and new settings, with which an operation of a manifest or of the REST "
        "bindings would not run any more. Off: such operations are only told of.",
    )


class ResilienceSettings(BaseModel):
    """What protects the router from its subgraphs, the subgraphs from the router, and both from too many clients."""

    retries: int = Field(default=2, ge=0, description="Retries of one request of a query. Mutations are sent once.")
    retry_budget: float = Field(default=0.1, ge=0, le=1, description="Retries as a share of a subgraph's requests.")
    retry_shortest: float = Field(default=0.05, description="Shortest wait before a retry.")
    retry_longest: float = Field(default=0.5, description="Longest wait, unless a subgraph asks for more.")
    breaker_ratio: float = Field(default=0.5, gt=0, le=1, description="Share of failed calls that opens a breaker.")
    breaker_calls: int = Field(default=20, ge=1, description="Fewer calls than these do not open it.")
    breaker_window: float = Field(default=10.0, gt=0, description="The calls that count are this recent.")
    breaker_open: float = Field(default=5.0, description="How long no call is made.")
    breaker_probes: int = Field(default=3, ge=1, description="Calls that must succeed to close it.")
    in_flight: int = Field(default=64, ge=1, description="Requests at once to one subgraph.")
    queue: int = Field(default=256, ge=0, description="Requests that wait for that; more fail at once.")
    queue_wait: float = Field(default=1.0, description="How long one of them waits at most.")
    streams: int = Field(default=1_000, ge=1, description="Subscriptions at once to one subgraph.")
    requests: int = Field(default=512, ge=1, description="HTTP requests at once; more are answered with 503.")
    requests_floor: int = Field(default=16, ge=1, description="The adaptive limit never goes below this.")
    lag: float = Field(default=0.03, gt=0, description="The event loop's delay that lowers the limit of requests.")
    busy: float = Field(
        default=0.8,
        gt=0,
        description="The share of the time that the event loop works which lowers it. Above 1: only delays count.",
    )


class Settings(BaseSettings):
    """The router's settings."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_", env_nested_delimiter="__", extra="forbid")

    dev: bool = Field(default=False, description="Introspection, explorer, error details, and plans on request.")
    introspection: bool = Field(default=False, description="Answer `__schema` and `__type`; `dev` implies it.")
    limits: Limits = Field(default_factory=lambda: Limits())
    tls: TlsSettings = Field(default_factory=lambda: TlsSettings())
    tokens: TokenSettings = Field(default_factory=lambda: TokenSettings())
    policies: PolicySettings = Field(default_factory=lambda: PolicySettings())
    subgraphs: dict[str, SubgraphSettings] = Field(default_factory=dict)
    resilience: ResilienceSettings = Field(default_factory=lambda: ResilienceSettings())

    request_timeout: float = Field(default=8.0, description="Fetching one answer; its deferred parts have longer.")
    deferred_timeout: float = Field(
        default=15.0, description="Fetching all deferred parts of an answer, from its beginning."
    )
    event_timeout: float = Field(default=8.0, description="Fetching what one event of a subscription needs.")
    body_timeout: float = Field(default=5.0, description="Receiving a request's body; more is answered with 408.")
    planning_timeout: float = Field(default=1.0, description="Planning one operation.")
    subgraph_timeout: float = Field(default=3.0, description="One request to a subgraph.")
    connect_timeout: float = Field(default=0.5, description="Connecting to a subgraph.")
    subgraph_response_bytes: int = Field(default=16 * KIB * KIB, description="One subgraph's answer.")
    http_client: Literal["pyreqwest", "aiohttp"] = Field(
        default="pyreqwest", description="HTTP client towards subgraphs."
    )

    forward_headers: tuple[str, ...] = Field(
        default=("accept-language", "traceparent", "tracestate", "baggage", "idempotency-key", "x-request-id"),
        description="Request headers that go to every subgraph, in lower case.",
    )
    strip_headers: tuple[str, ...] = Field(
        default=(
            "x-user-id",
            "x-user-roles",
            "x-forwarded-user",
            "x-auth-request-user",
            "x-remote-user",
            "remote-user",
        ),
        description="Identity headers that no client may set; never forwarded, whatever `forward_headers` says.",
    )
    claims_header: str = Field(default="router-claims", description="Carries the verified claims to subgraphs.")
    claims_secret: SecretStr | None = Field(default=None, description="Signs the claims. None: no claims are sent.")
    claims_lifetime: float = Field(default=60.0, description="How long a subgraph may accept one claims header.")

    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call the graph; `*` for any."
    )
    csrf_headers: tuple[str, ...] = Field(
        default=("graphql-require-preflight", "apollo-require-preflight", "x-apollo-operation-name"),
        description="Any of them proves that a browser asked before sending.",
    )

    clients: dict[str, ClientSettings] = Field(
        default_factory=dict, description="Programs that use the graph, by a name that metrics show."
    )
    api_key_header: str = Field(
        default="x-api-key", description="Carries a client's API key. It is never forwarded and never logged."
    )
    safelist: bool = Field(
        default=False, description="Nobody may run what is in no manifest. Not in force while `dev` is on."
    )
    rate_limits: RateLimits = Field(default_factory=lambda: RateLimits())
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Networks of your own proxies: `10.0.0.0/8`, `2001:db8::7`. From them alone `X-Forwarded-For` is "
        "believed, read from the right up to the first address that is none of them.",
    )
    shared: SharedSettings = Field(default_factory=lambda: SharedSettings())
    cost: CostSettings = Field(default_factory=lambda: CostSettings())
    persisted: PersistedSettings = Field(default_factory=lambda: PersistedSettings())

    cache: CacheSettings = Field(default_factory=lambda: CacheSettings())
    document_cache: int = Field(default=2_000, description="Parsed and validated documents that are kept.")
    plan_cache: int = Field(default=2_000, description="Compiled plans that are kept.")
    warm_plans: int = Field(
        default=100, ge=0, description="Of the old plans, how many of the most used are made anew before a reload."
    )
    watch: float = Field(
        default=1.0,
        ge=0,
        description="Supergraph, settings, manifests and bindings are looked at this often for changes. 0: on SIGHUP "
        "only.",
    )
    override_labels: tuple[str, ...] = Field(default=(), description="Override labels that are always active.")

    internal_host: str = Field(default="127.0.0.1", description="Address of the operators' port.")
    internal_port: int | None = Field(
        default=5000,
        ge=1,
        le=65_535,
        description="Port of metrics and health details, for operators only. None: there is none. For "
        "`python -m router serve`.",
    )
    otlp_endpoint: str | None = Field(
        default=None, description="Where traces are sent (OTLP over HTTP, `http://host:4318/v1/traces`). None: nowhere."
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of traces begun here that are recorded; others as callers say."
    )
    access_log_ratio: float = Field(
        default=0.0, ge=0, le=1, description="Share of operations that get a line in the log (level info)."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Lines of the log; `auto`: for people on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="Least level.")
    drain_notice: float = Field(
        default=0.0, ge=0, description="At the end: how long to be unready, and listen on, before connections close."
    )
    drain_timeout: int = Field(default=10, ge=0, description="At the end: how long requests may go on.")

    subscription_init_timeout: float = Field(default=10.0, description="WebSocket: until `connection_init`.")
    subscription_ping: float = Field(
        default=30.0, description="WebSocket and event streams: a sign of life that often."
    )
    subscriptions_per_socket: int = Field(default=20, description="WebSocket: operations at once.")
    sockets_per_user: int = Field(default=5, description="WebSockets of one signed-in user at once; more are closed.")
    explorer_assets: Path = Field(default=Path("clients/explorer/dist"), description="The built explorer.")
    explorer_examples: Path | None = Field(
        default=None,
        description="JSON: a list of `{file, variables, headers}`, shown as the explorer's first tabs. The files are "
        "operations, beside it.",
    )

    rest: Path | None = Field(
        default=None,
        description="REST bindings: paths that run persisted operations (see rest.md). Their OpenAPI document is at "
        "`/openapi.json`.",
    )

    @property
    def answers_introspection(self) -> bool:
        """Whether clients may introspect."""
        return self.dev or self.introspection


def read_settings(config: Path | None, **overrides: Any) -> Settings:
    """Settings from a file, the environment and ``overrides``, each winning over the one before.

    The file's ``subgraphs`` may have the shape that composition reads; its ``routing_url`` and ``schema`` are left to
    it. Raises SourceError for an unreadable file and pydantic's ValidationError, which names every bad setting.
    """
    document: Any = {}
    if config is not None:
        try:
            document = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SourceError(f"Cannot read {config}: {error}") from error
        if not isinstance(document, dict):
            raise SourceError(f"{config} is not a mapping of settings.")
    document.pop("federation_version", None)
    for entry in (document.get("subgraphs") or {}).values():
        if isinstance(entry, dict):
            entry.pop("schema", None)
            entry.pop("routing_url", None)
    from_environment = Settings().model_dump(exclude_unset=True)
    return Settings(**_merged(_merged(document, from_environment), overrides))


AT_START = (
    "tls",
    "cache",
    "watch",
    "internal_host",
    "internal_port",
    "otlp_endpoint",
    "trace_ratio",
    "log_format",
    "log_level",
    "drain_timeout",
)
"""Settings that are read once."""


def changed_at_start(old: Settings, new: Settings) -> list[str]:
    """Names of settings that differ and that a reload does not change."""
    return [name for name in AT_START if getattr(old, name) != getattr(new, name)]


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
