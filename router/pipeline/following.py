"""Following what should be served: the supergraph, the settings, and the files that the settings name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from router.errors import RouterError, SourceError
from router.pipeline.rest.bindings import manifest_of
from router.pipeline.supergraph_source import Load
from router.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should be served at one moment. ``files`` are the contents of those that the settings name."""

    supergraph_sdl: str
    settings: Settings
    files: Mapping[Path, bytes | None]


Source = Callable[[], Coroutine[Any, Any, Wanted]]
"""Gives what should be served now. Raises RouterError."""


class Serves(Protocol):
    """Who serves it."""

    async def take(self, wanted: Wanted) -> None:
        """Serve it from now on. Raises RouterError if that cannot be done, and goes on as before."""

    def refuse(self, why: str) -> None:
        """There is something new that cannot be served."""

    def keep(self) -> None:
        """What was refused is gone: what is served is what should be."""


def source(load: Load, read: Callable[[], Settings], config: Path | None = None) -> Source:
    """The supergraph of ``load`` under the settings of ``read``, which are read again when ``config`` has changed."""
    known: tuple[bytes | None, Settings] | None = None
    named = _Named()

    async def look() -> Wanted:
        nonlocal known
        text = await asyncio.to_thread(_content, config) if config is not None else None
        if known is None or known[0] != text:
            known = text, await asyncio.to_thread(_read, read)
        settings = known[1]
        return Wanted(await load(), settings, await asyncio.to_thread(named.contents, settings))

    return look


async def follow(source: Source, served: Wanted, serves: Serves, seconds: float, wake: asyncio.Event) -> None:
    """Look for ever for something else than ``served``: every ``seconds`` (0: never by itself), and at ``wake``, which
    also tries again what was refused. What cannot be served is told once, and left."""
    refused = ""
    seen = served
    while True:
        called = await _pause(seconds, wake)
        try:
            wanted = await source()
            changed, seen = wanted != seen, wanted
            if wanted == served:
                if refused:
                    serves.keep()
                refused = ""
            elif changed or called:
                await serves.take(wanted)
                served, refused = wanted, ""
                logger.warning("a new supergraph or new settings are served")
        except Exception as error:
            # Not even a bug may end the following, or touch what is served.
            why = str(error) if isinstance(error, RouterError) else f"internal error: {type(error).__name__}"
            if why != refused or called:
                logger.error(
                    "what has changed cannot be served, the old goes on: %s",
                    why,
                    exc_info=None if isinstance(error, RouterError) else error,
                )
                serves.refuse(why)
            refused = why


async def _pause(seconds: float, wake: asyncio.Event) -> bool:
    """Whether it was ended by ``wake``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds or None):
            await wake.wait()
    called = wake.is_set()
    wake.clear()
    return called


class _Named:
    """The files that settings name. The bindings name one more, and are searched for it only when they change."""

    def __init__(self) -> None:
        self._bindings: bytes | None = b""
        self._manifest: Path | None = None

    def contents(self, settings: Settings) -> dict[Path, bytes | None]:
        files = {one.manifest for one in settings.clients.values() if one.manifest is not None}
        if settings.rest is not None:
            files.add(settings.rest)
            bindings = _content(settings.rest)
            if bindings != self._bindings:
                self._bindings, self._manifest = bindings, manifest_of(settings.rest)
            if self._manifest is not None:
                files.add(self._manifest)
        return {file: _content(file) for file in sorted(files)}


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _read(read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except ValidationError as error:
        # Without the values: some are secrets.
        reasons = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise SourceError("The settings cannot be used: " + "; ".join(reasons)) from None
