"""The pages name settings, commands, targets and files: each of them must be there."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import typer.main

from dure.cli import app as dure
from router.__main__ import app as router

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "subgraphs").glob("*/README.md")),
    *(ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md")),
]
NO_SETTINGS = {"DURE_FAILPOINT": "docs/failpoints.md", "DURE_TEST_POSTGRES_URL": "tests/support/servers.py"}
"""Variables that tests alone read, and where they are told of."""

VARIABLE = re.compile(r"\b(?:ROUTER|DURE)_[A-Z0-9_]*[A-Z0-9](?:__<NAME>__[A-Z0-9_]+)?(?:__)?(?!\w)")
QUOTED = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```(?:sh|bash)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"(?:router|subgraphs|dure|messaging|db|clients|tests|scripts|schema|benchmarks|deploy|examples)/[\w./-]+\.[a-z]+"
)


@cache
def settings() -> frozenset[str]:
    """The variables of the reference, which is generated from the code."""
    reference = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\| `((?:ROUTER|DURE)_[A-Z0-9_<>]+)`", reference, re.MULTILINE))


def is_setting(name: str) -> bool:
    """Whether a variable, or a beginning of some, is in the reference."""
    if name in NO_SETTINGS:
        return name in (ROOT / NO_SETTINGS[name]).read_text(encoding="utf-8")
    named = [re.compile(known.replace("<NAME>", "(?:<NAME>|[A-Z0-9]+)")) for known in settings()]
    return any(known.fullmatch(name) for known in named) or any(known.startswith(f"{name}__") for known in settings())


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def commands(application: typer.Typer) -> frozenset[str]:
    return frozenset(typer.main.get_command(application).commands)  # type: ignore[attr-defined]


@cache
def _checks() -> list[tuple[re.Pattern[str], Callable[[str], bool]]]:
    return [
        (re.compile(r"^(?:\.venv/bin/)?dure ([a-z][a-z-]*)"), commands(dure).__contains__),
        (re.compile(r"^(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)"), targets().__contains__),
        (re.compile(r"^(?:\.venv/bin/)?python -m router ([a-z][a-z-]*)"), commands(router).__contains__),
    ]


def unknown(text: str) -> list[str]:
    """What a page names and is not there."""
    found = [name.removesuffix("__") for name in VARIABLE.findall(text)]
    wrong = [name for name in found if not is_setting(name)]
    lines = [line for block in FENCED.findall(text) for line in block.splitlines()]
    for quoted in map(str.strip, [*QUOTED.findall(text), *lines]):
        for pattern, known in _checks():
            wrong += [quoted for name in pattern.findall(quoted) if not known(name)]
        if FILE.fullmatch(quoted) and not (ROOT / quoted).exists():
            wrong.append(quoted)
    return sorted(set(wrong))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert unknown(page.read_text(encoding="utf-8")) == []


def test_what_is_not_there_is_noticed() -> None:
    text = "`DURE_PORT=1 make run`, `ROUTER_CACHE__`, `ROUTER_SUBGRAPHS__A__URL`, `dure up --split`, `router/app.py`"
    assert unknown(text) == []
    text = "`DURE_NOBODYS=1 make ran`, `ROUTER_CASH__`, `dure down`, `python -m router sing`, `router/nothing.py`"
    assert unknown(text) == [
        "DURE_NOBODYS",
        "DURE_NOBODYS=1 make ran",
        "ROUTER_CASH",
        "dure down",
        "python -m router sing",
        "router/nothing.py",
    ]
