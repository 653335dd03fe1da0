"""Where the served supergraph comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.errors import SourceError
from router.pipeline.introspect import read_config, read_configured

Load = Callable[[], Coroutine[Any, Any, str]]
"""Gives the supergraph SDL as it is now. Raises RouterError."""


def from_file(path: Path) -> Load:
    """A supergraph that was composed elsewhere."""

    async def load() -> str:
        try:
            return await asyncio.to_thread(path.read_text, encoding="utf-8")
        except OSError as error:
            raise SourceError(f"Cannot read {path}: {error}") from error

    return load


def from_config(config: Path) -> Load:
    """The configuration's subgraphs, composed here; anew only when one of them has changed."""
    composed: tuple[list[SubgraphInput], str] | None = None

    async def load() -> str:
        nonlocal composed
        sources = await read_configured(read_config(config), config)
        if composed is None or composed[0] != sources:
            composed = sources, await asyncio.to_thread(_compose, sources)
        return composed[1]

    return load


def _compose(sources: list[SubgraphInput]) -> str:
    result = compose(sources)
    if result.supergraph_sdl is None:
        raise SourceError("\n".join(str(error) for error in result.errors))
    return result.supergraph_sdl
