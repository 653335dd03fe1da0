"""Users put together: doors, consumers, background work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.consumer import Consumer
from messaging.events import EventData
from messaging.relay import Relay
from subgraphs.kit import housekeeping
from subgraphs.kit.app import http_app
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import ClaimsVerifier
from subgraphs.kit.media.routes import A_DAY, add_routes
from subgraphs.kit.media.store import Folder, store_of
from subgraphs.kit.pagination import Cursors
from subgraphs.kit.subgraph import Runtime, Subgraph
from subgraphs.kit.workers import Alarm, Worker, repeat
from subgraphs.users import consumers, mail, texts
from subgraphs.users.audit import audit
from subgraphs.users.keys import JwksSource, SigningKeys
from subgraphs.users.loaders import Context, context_of
from subgraphs.users.models import dead_letters, idempotency, inbox, outbox
from subgraphs.users.passwords import PasswordPool
from subgraphs.users.schema import schema
from subgraphs.users.service import engagements, sessions, throttling, tokens
from subgraphs.users.service import social as social_service
from subgraphs.users.service.avatars import avatars
from subgraphs.users.service.deps import Deps
from subgraphs.users.service.notifications import tell
from subgraphs.users.settings import Settings
from subgraphs.users.social import Provider, providers

NAME = "users"
MIGRATIONS = Path(__file__).parent / "migrations"
CONSUMES: tuple[type[EventData], ...] = consumers.CONSUMES

MAIL_SECONDS, WAITING_SECONDS, PICTURES_SECONDS, TIDY_SECONDS = 1.0, 15.0, 60.0, 3600.0
GATHERING_SECONDS = 0.25
"""How long a letter may wait for others that leave in the same transactions."""

log = structlog.get_logger()


def build(
    runtime: Runtime,
    settings: Settings | None = None,
    *,
    social: Mapping[str, Provider] | None = None,
    sms: texts.Sender | None = None,
) -> Subgraph:
    """Users on this runtime. ``app.state.jwks()`` gives the key set of the access tokens.

    ``social``: who people log in with, by SocialProvider, and ``sms``: who sends text messages; else those that the
    settings name.
    """
    chosen = settings or Settings()
    database = runtime.database
    relay = Relay(database, outbox, runtime.broker)
    mail_alarm = Alarm()

    def wake() -> None:
        relay.wake()
        mail_alarm.ring()

    texter = texts.solapi(chosen) if sms is None else sms
    by_provider = providers(chosen) if social is None else social
    deps = _deps(runtime, chosen, wake, by_provider, texts_offered=texter is not None)
    store = store_of(chosen, runtime.common, "avatars", chosen.avatars_url)
    pictures = avatars(deps, store)
    cursors = Cursors(runtime.common.cursor_secret.get_secret_value())

    def make_context(caller: Caller) -> Context:
        return context_of(caller, deps, cursors, pictures)

    claims = ClaimsVerifier(runtime.common.claims_secret.get_secret_value())
    endpoint = GraphQLEndpoint(schema, make_context, claims)
    workers = [
        Worker("users.relay", relay.run),
        Worker("users.consumer", _consumer(runtime, deps).run),
        _repeating("users.waiting", lambda: _release_waiting(deps), WAITING_SECONDS),
        _repeating("users.pictures", pictures.collect, PICTURES_SECONDS),
        _repeating("users.tidy", lambda: _tidy(deps), TIDY_SECONDS),
        *_senders(runtime, chosen, mail_alarm, texter),
    ]
    app = http_app(NAME, endpoint, database)
    _add_routes(app, runtime, deps.keys)
    if isinstance(store, Folder):
        add_routes(app, store, runtime.now, "/avatars", A_DAY)
    return Subgraph(name=NAME, endpoint=endpoint, app=app, workers=workers, audit=audit)


def jwks_source(runtime: Runtime, settings: Settings | None = None) -> JwksSource:
    """Where a router in the same process gets the key set from."""
    return SigningKeys(runtime.database, settings or Settings(), runtime.now).jwks


def _deps(
    runtime: Runtime,
    settings: Settings,
    wake: Callable[[], None],
    by_provider: Mapping[str, Provider],
    *,
    texts_offered: bool,
) -> Deps:
    keys = SigningKeys(runtime.database, settings, runtime.now)
    return Deps(
        runtime.database,
        settings,
        PasswordPool(settings),
        keys,
        runtime.changes,
        runtime.now,
        wake,
        by_provider,
        texts_offered,
    )


def _consumer(runtime: Runtime, deps: Deps) -> Consumer:
    handlers = consumers.handlers(deps)
    return Consumer(
        runtime.database, inbox, dead_letters, runtime.broker, f"dure.{NAME}", handlers, after_commit=deps.wake
    )


def _add_routes(app: FastAPI, runtime: Runtime, keys: SigningKeys) -> None:
    app.state.jwks = keys.jwks
    app.add_api_route("/.well-known/jwks.json", keys.jwks, methods=["GET"])
    if runtime.common.dev:

        async def mails(to: str) -> list[dict[str, Any]]:
            return await mail.sent_to(runtime.database, to.strip().lower())

        app.add_api_route("/dev/mails", mails, methods=["GET"])


def _senders(runtime: Runtime, settings: Settings, mail_alarm: Alarm, texter: texts.Sender | None) -> list[Worker]:
    """Those who carry letters and texts out of the house, as far as there is a way."""
    workers = []
    if (send := _transport(runtime, settings)) is not None:
        in_development = send is mail.into_development_outbox
        mailer = mail.Mailer(
            runtime.database, send, sender=settings.mail_from, now=runtime.now, keep_bodies=in_development
        )
        workers.append(_repeating("users.mail", lambda: _gathered(mailer), MAIL_SECONDS, mail_alarm))
    if texter is not None:
        sending = texts.Texter(runtime.database, texter, runtime.now)
        workers.append(_repeating("users.texts", sending.send_due, MAIL_SECONDS))
    return workers


async def _gathered(mailer: mail.Mailer) -> int:
    """What is queued at nearly the same time goes together."""
    await asyncio.sleep(GATHERING_SECONDS)
    return await mailer.send_due()


def _transport(runtime: Runtime, settings: Settings) -> mail.Send | None:
    """How e-mails leave; None: they wait in the outbox."""
    if settings.smtp_host:
        return mail.smtp(settings)
    if runtime.common.dev:
        return mail.into_development_outbox
    log.warning("mail.waiting", reason="DURE_USERS_SMTP_HOST is not set: e-mails stay queued")
    return None


def _repeating(name: str, work: Callable[[], Awaitable[object]], every: float, alarm: Alarm | None = None) -> Worker:
    return Worker(name, lambda: repeat(name, work, every=every, alarm=alarm))


async def _release_waiting(deps: Deps) -> None:
    """Orders and their shipments may become known in two transactions at the same moment, each blind to the other."""
    told = await deps.database.run(lambda tx: engagements.release_waiting(tx, deps))
    if told:
        deps.wake()
        await tell(deps, told)


async def _tidy(deps: Deps) -> None:
    now = deps.now()
    await deps.keys.rotate()

    async def work(tx: AsyncConnection) -> None:
        await sessions.prune(tx, now)
        await tokens.prune(tx, now)
        await social_service.prune(tx, now)
        await throttling.prune(tx, now)
        await housekeeping.forget(tx, outbox, inbox, idempotency, now)

    await deps.database.run(work)
