"""Following what should be served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from router.errors import SourceError, SupergraphError
from router.pipeline.following import Wanted, follow, source
from router.settings import Settings, read_settings
from tests.router.pipeline.persisting import manifest

SETTINGS = Settings()


def wanted(sdl: str) -> Wanted:
    return Wanted(sdl, SETTINGS, {})


class Taking:
    """Takes everything but what is called bad, and fails at what is called worse."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def take(self, wanted: Wanted) -> None:
        if wanted.supergraph_sdl == "bad":
            raise SupergraphError("not served")
        if wanted.supergraph_sdl == "worse":
            raise ZeroDivisionError
        self.told.append(wanted.supergraph_sdl)

    def refuse(self, why: str) -> None:
        self.told.append(f"refused: {why}")

    def keep(self) -> None:
        self.told.append("kept")


async def followed(sdls: Iterable[str | Exception], *, calls: bool = False) -> list[str]:
    """What is told while these are found, one after the other."""
    found, takes, last, wake = iter(sdls), Taking(), asyncio.Event(), asyncio.Event()

    async def look() -> Wanted:
        sdl = next(found, None)
        if isinstance(sdl, Exception):
            raise sdl
        if sdl is None:
            last.set()
            await asyncio.Event().wait()
        if calls:
            wake.set()
        return wanted(str(sdl))

    following = asyncio.create_task(follow(look, wanted("one"), takes, 0.001, wake))
    async with asyncio.timeout(5):
        await last.wait()
    following.cancel()
    return takes.told


async def test_what_is_new_is_served_and_what_is_bad_is_told_once() -> None:
    """Unchanged: nothing; bad: told once for as long as it stays; as before: what was refused is gone."""
    assert await followed(["one", "two", "bad", "bad", "two", "three"]) == [
        "two",
        "refused: not served",
        "kept",
        "three",
    ]


async def test_what_cannot_be_read_is_told_once() -> None:
    gone = SourceError("gone")
    assert await followed(["two", gone, gone, "two", gone]) == ["two", "refused: gone", "kept", "refused: gone"]


async def test_a_bug_ends_nothing() -> None:
    """An error of ours is a refusal like any other, without its text."""
    assert await followed(["worse", "two"]) == ["refused: internal error: ZeroDivisionError", "two"]


async def test_a_call_tries_again_what_was_refused() -> None:
    """An operator who sends SIGHUP is told again."""
    assert await followed(["bad", "bad"], calls=True) == ["refused: not served"] * 2


async def test_all_files_that_settings_name_are_followed(tmp_path: Path) -> None:
    """The settings themselves, manifests, the bindings and the manifest that they name: each change is one."""
    config, rest = tmp_path / "router.yaml", tmp_path / "rest.yaml"
    own, bound = manifest(tmp_path / "own.json", A="query A { a }"), manifest(tmp_path / "m.json", B="query B { b }")
    rest.write_text("manifest: m.json")
    written = {"limits": {"depth": 9}, "rest": str(rest), "clients": {"app": {"manifest": str(own)}}}
    config.write_text(yaml.safe_dump(written))

    async def load() -> str:
        return "sdl"

    look = source(load, lambda: read_settings(config), config)
    seen = await look()
    assert await look() == seen
    assert (seen.settings.limits.depth, set(seen.files)) == (9, {own, bound, rest})
    for file in (own, bound, rest):
        file.write_bytes(file.read_bytes() + b"\n")
        assert await look() != seen
        seen = await look()
        assert await look() == seen
    own.unlink()
    assert (await look()).files[own] is None
    config.write_text(yaml.safe_dump({**written, "limits": {"depth": 10}}))
    assert (await look()).settings.limits.depth == 10


async def test_settings_that_are_wrong_are_named_without_their_values(tmp_path: Path) -> None:
    config = tmp_path / "router.yaml"
    config.write_text("claims_secret: [hunter2]")

    async def load() -> str:
        return "sdl"

    with pytest.raises(SourceError, match="claims_secret") as refused:
        await source(load, lambda: read_settings(config), config)()
    assert "hunter2" not in str(refused.value)
