"""TLS at the router's own door: a certificate from files, renewed when they change.

TLS 1.2 and up with Python's choice of ciphers; HTTP/1.1 above it, WebSockets too.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from router.errors import SourceError
from router.settings import TlsSettings

logger = logging.getLogger(__name__)
State = tuple[tuple[int, ...], ...]


class Certificate:
    """The certificate that is shown, with its key. Raises SourceError if they cannot be used."""

    def __init__(self, certificate: Path, key: Path, hsts: int) -> None:
        self._files = certificate, key
        self._hsts = hsts
        self._shown = self._state()
        self._context = self._loaded()
        self._refused: State | None = None

    def server_options(self) -> dict[str, Any]:
        """Options of a uvicorn server that shows it, and tells browsers to come by HTTPS only (RFC 6797)."""
        told = [("strict-transport-security", f"max-age={self._hsts}")] if self._hsts else []
        return {"ssl_context_factory": lambda _config, _default: self._context, "headers": told}

    def look_again(self) -> None:
        """Show what the files hold now, to new connections. What cannot be used is logged once and not shown."""
        try:
            state = self._state()
            if state in (self._shown, self._refused):
                return
            # A failure half-way would spoil the context in use, so another one tries first. The two files of a renewal
            # are replaced one after the other: between them they do not fit.
            self._refused = state
            self._loaded()
            self._load_into(self._context)
        except SourceError as error:
            logger.error("the old certificate stays: %s", error)
        else:
            self._shown, self._refused = state, None
            logger.info("a new certificate is shown")

    @asynccontextmanager
    async def followed(self, every: float) -> AsyncIterator[None]:
        """Look again this often (in seconds; 0: never) while the block runs."""
        watching = asyncio.create_task(self._watch(every)) if every else None
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            self.look_again()

    def _state(self) -> State:
        """What tells a file from the one that was there before, links followed."""
        try:
            found = [path.stat() for path in self._files]
        except OSError as error:
            raise SourceError(f"Cannot read {error.filename}: {error.strerror}.") from error
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        certificate, key = self._files
        for path in self._files:
            try:
                path.read_bytes()
            except OSError as error:
                raise SourceError(f"Cannot read {path}: {error.strerror}.") from error
        try:
            # Without a password of ours OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, lambda: "")
        except ssl.SSLError as error:
            wanted = "a certificate and its key, in PEM and without a password"
            raise SourceError(f"{certificate} and {key} are not {wanted}: {error.reason}.") from error


def following(certificate: Certificate | None, every: float) -> AbstractAsyncContextManager[None]:
    """The same for a certificate that may not be."""
    return certificate.followed(every) if certificate else nullcontext()


def both(look_again: Callable[[], None], certificate: Certificate | None) -> Callable[[], None]:
    """What SIGHUP sets off."""

    def look() -> None:
        if certificate is not None:
            certificate.look_again()
        look_again()

    return look


def certificate_of(settings: TlsSettings) -> Certificate | None:
    """The certificate of the settings; None: plain HTTP. Raises SourceError."""
    if settings.certificate is None or settings.key is None:
        return None
    return Certificate(settings.certificate, settings.key, settings.hsts)
