"""Obtaining what composition composes: SDL files, a list of subgraphs in YAML, or running subgraphs themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

from router.composition.model import SubgraphInput
from router.errors import SourceError

_SERVICE_QUERY = "{_service{sdl}}"
_TIMEOUT_S = 10.0


def read_subgraph_sources(options: Sequence[str], config: Path | None) -> list[SubgraphInput]:
    """Read ``NAME=URL=SDLFILE`` options and a configuration file. Raises SourceError, naming the subgraph."""
    sources = [_from_option(option) for option in options]
    if config is not None:
        entries = read_config(config)
        sources += asyncio.run(read_configured(entries, config))
    if not sources:
        raise SourceError("No subgraphs: give --subgraph NAME=URL=SDLFILE or --config FILE.")
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise SourceError(f'Subgraph "{source.name}" is given twice.')
        seen.add(source.name)
    return sources


def _from_option(option: str) -> SubgraphInput:
    # A URL may itself hold "=": the name ends at the first one, the file starts after the last one.
    name, separator, rest = option.partition("=")
    url, last_separator, file = rest.rpartition("=")
    if not (separator and last_separator and name and file):
        raise SourceError(f'"{option}" is not of the form NAME=URL=SDLFILE.')
    return SubgraphInput(name, url, _read(name, Path(file)))


def read_config(config: Path) -> dict[str, Any]:
    """Read ``subgraphs: {name: {routing_url, schema: {file | subgraph_url}}}``. Raises SourceError."""
    try:
        document = _parsed(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SourceError(f"Cannot read {config}: {error}") from error
    subgraphs = document.get("subgraphs") if isinstance(document, dict) else None
    if not isinstance(subgraphs, dict) or not subgraphs:
        raise SourceError(f"{config} has no subgraphs.")
    return {str(name): entry for name, entry in subgraphs.items()}


@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    """Whoever follows a file reads it every second."""
    return yaml.safe_load(text)


async def read_configured(subgraphs: Mapping[str, Any], config: Path) -> list[SubgraphInput]:
    """Obtain the schema of every subgraph of a configuration; its files are relative to it. Raises SourceError."""
    return list(await asyncio.gather(*(_from_config(name, entry, config) for name, entry in subgraphs.items())))


async def _from_config(name: str, entry: Any, config: Path) -> SubgraphInput:
    schema = entry.get("schema") if isinstance(entry, Mapping) else None
    if not isinstance(schema, Mapping) or len(schema.keys() & {"file", "subgraph_url"}) != 1:
        raise SourceError(f'Subgraph "{name}" in {config} needs a schema with either file or subgraph_url.')
    routing_url = entry.get("routing_url")
    if "file" in schema:
        if not isinstance(routing_url, str):
            raise SourceError(f'Subgraph "{name}" in {config} needs a routing_url.')
        return SubgraphInput(name, routing_url, _read(name, config.parent / str(schema["file"])))
    subgraph_url = str(schema["subgraph_url"])
    headers = {str(key): str(value) for key, value in (schema.get("introspection_headers") or {}).items()}
    return SubgraphInput(name, str(routing_url or subgraph_url), await fetch_sdl(name, subgraph_url, headers))


def _read(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'Cannot read the schema of subgraph "{name}": {error}') from error


async def fetch_sdl(name: str, url: str, headers: Mapping[str, str] | None = None) -> str:
    """Ask a running subgraph for its SDL by ``_service``. Raises SourceError if it does not answer with one."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(url, json={"query": _SERVICE_QUERY}, headers=headers) as response,
        ):
            answer = orjson.loads(await response.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f'Subgraph "{name}" at {url} gave no schema: {reason}') from error
    try:
        sdl = answer["data"]["_service"]["sdl"]
    except (KeyError, TypeError) as error:
        raise SourceError(f'Subgraph "{name}" at {url} gave no schema: it did not answer _service.') from error
    if not isinstance(sdl, str):
        raise SourceError(f'Subgraph "{name}" at {url} gave no schema: its sdl is not a string.')
    return sdl
