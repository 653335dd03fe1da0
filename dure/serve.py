"""An ASGI application on a port, until the process is told to stop."""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import structlog
import uvicorn
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.types import ASGIApp

from dure.errors import StartError
from dure.settings import ROOT, Settings
from router.app import RouterApp
from router.errors import SourceError
from router.pipeline.collector import spare_collector
from router.pipeline.following import source
from router.pipeline.serving import DrainingServer
from router.pipeline.supergraph_source import Load
from router.pipeline.tls import Certificate, both, certificate_of, following
from router.settings import Settings as RouterSettings
from router.settings import SubgraphSettings, TlsSettings, TokenSettings, read_settings

GRACE_SECONDS = 5
Drain = Callable[[], Awaitable[None]]
GIVE_UP_SECONDS = 30
CERTIFICATE_SECONDS = 5.0
"""How often a new certificate is looked for."""
log = structlog.get_logger()
FORWARDED = (
    "accept-language",
    "traceparent",
    "tracestate",
    "idempotency-key",
    "x-request-id",
    "x-forwarded-for",
    "user-agent",
)
"""What subgraphs want to know of a request: users shows sessions by device and place."""

VARYING: frozenset[str] = frozenset()
"""Of these, what changes public answers: nothing so far. A subgraph that looks at another one belongs here first."""

REPLICA_LAG = 2.0
"""Seconds after a purge in which an answer may still come from a late replica."""

EXAMPLES = ROOT / "dure/demo/examples.json"
"""Operations that the explorer starts with: they fit the demo's data."""


ALONE = (
    "tokenCreate",
    "tokenRefresh",
    "socialTokenCreate",
    "passwordReset",
    "passwordResetRequest",
    "accountEmailVerify",
    "accountEmailVerificationResend",
    "paymentConfirm",
    "paymentMethodRegister",
    "refundCreate",
    "payoutRequest",
)
"""Log-in and payment: one a request, so that nobody tries many at once."""

MANY_AT_ONCE = {"busy": 1.5, "lag": 0.05, "requests_floor": 64, "streams": 20_000}
"""The shop commits in groups: the more are inside, the less each of them costs. Thousands watch the line of a flash
sale."""

PARTNER_RATE = {"per_second": 50, "burst": 100}


def router_settings(
    settings: Settings, urls: dict[str, str] | None = None, jwks_url: str | None = None
) -> RouterSettings:
    """The router's settings for this shop; ``urls`` of the subgraphs where they are processes of their own.

    ``ROUTER_*`` variables decide everything that is not said here.
    """
    return read_settings(
        None,
        dev=settings.dev,
        explorer_assets=settings.explorer_dir,
        explorer_examples=EXAMPLES,
        rest=settings.schema_dir / "rest/rest.yaml",
        limits={"single_root_fields": ALONE},
        clients=_clients(settings),
        claims_secret=settings.claims_secret.get_secret_value(),
        forward_headers=FORWARDED,
        cache=_cache(settings),
        resilience=MANY_AT_ONCE | RouterSettings().resilience.model_dump(exclude_unset=True),
        # In one process there is one router, with nobody to share with.
        shared={"redis_url": settings.redis_url if urls else None, "prefix": f"dure:{_name_of(settings)}:"},
        tokens=TokenSettings(issuer="dure-users", audience="dure", jwks_url=jwks_url).model_dump(exclude_unset=True),
        subgraphs={
            name: SubgraphSettings(url=url).model_dump(exclude_unset=True) for name, url in (urls or {}).items()
        },
    )


def _cache(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {
        "enabled": settings.keeps_answers,
        # Without a broker that others could share this is the only router: memory is nearer.
        "redis_url": settings.redis_url if settings.broker_url else None,
        "prefix": f"dure:{_name_of(settings)}:cache:",
        "ignore_headers": [name for name in FORWARDED if name not in VARYING],
    }
    if settings.replica_url is not None and "ROUTER_CACHE__HOLD" not in os.environ:
        found["hold"] = REPLICA_LAG
    return found


class _OwnDoor(BaseSettings):
    """Of the router's settings, how its door is served: commands want no more of them."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_", env_nested_delimiter="__", extra="ignore")
    tls: TlsSettings = TlsSettings()


def certificate() -> Certificate | None:
    """What ``ROUTER_TLS__CERTIFICATE`` and ``ROUTER_TLS__KEY`` name. Raises StartError."""
    try:
        return certificate_of(_OwnDoor().tls)
    except (SourceError, ValidationError) as error:
        reasons = [each["msg"] for each in error.errors()] if isinstance(error, ValidationError) else [str(error)]
        raise StartError(f"no HTTPS: {'; '.join(reasons)} See ROUTER_TLS__CERTIFICATE and ROUTER_TLS__KEY.") from None


def address(settings: Settings) -> str:
    """Where this shop listens, as a browser on this machine writes it."""
    scheme = "https" if _OwnDoor().tls.certificate else "http"
    return f"{scheme}://{settings.host}:{settings.port}"


def _name_of(settings: Settings) -> str:
    """Tells this shop from others on the same server: all its processes share the secret, and no other shop does."""
    return hmac.digest(settings.claims_secret.get_secret_value().encode(), b"name", "sha256").hex()[:12]


def _clients(settings: Settings) -> dict[str, Any]:
    """Programs that the shop knows: the partner integration, which may run its own operations only."""
    if settings.partner_key is None:
        return {}
    digest = sha256(settings.partner_key.get_secret_value().encode()).hexdigest()
    manifest = settings.schema_dir / "persisted/partner.json"
    return {"partner": {"keys": [digest], "manifest": manifest, "safelist": True, "rate": PARTNER_RATE}}


async def follow(router: RouterApp, load: Load, settings: RouterSettings) -> None:
    """Let the router follow its supergraph, and the manifests and bindings of the shop."""
    look = source(load, lambda: settings)
    router.follows = look, await look()


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    announce: Callable[[], None],
    drain: Drain | None = None,
    look_again: Callable[[], None] | None = None,
    certificate: Certificate | None = None,
) -> None:
    """Listen, call ``announce``, return after SIGINT or SIGTERM when running requests have ended (5 s at most).
    SIGHUP calls ``look_again``. ``certificate``: by HTTPS."""
    server = Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the router decides whom to believe: ROUTER_TRUSTED_PROXIES
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
            **(certificate.server_options() if certificate else {}),
        ),
        announce,
        drain,
    )
    spare_collector()
    server.stop_on_signals()
    if look_again is not None:
        server.look_again_on_hangup(both(look_again, certificate))
    async with following(certificate, CERTIFICATE_SECONDS):
        await server.serve()


def _give_up() -> None:
    """End although something will not: all that matters is in the databases, and the next start goes on from there."""
    log.error("shutdown.hangs", seconds=GIVE_UP_SECONDS)
    os._exit(1)


class Server(DrainingServer):
    """A server that says when it listens, and ends even if something will not."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], drain: Drain | None) -> None:
        super().__init__(config, drain)
        self._announce = announce

    def stop(self) -> None:
        super().stop()
        watchdog = threading.Timer(GIVE_UP_SECONDS, _give_up)
        watchdog.daemon = True
        watchdog.start()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup()
        self._announce()
