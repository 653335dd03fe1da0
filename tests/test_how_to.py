"""The how-tos' commands are run as they stand there, and answer what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import serve
from tests.support import explorer
from tests.support.process import free_port
from tests.support.servers import find
from tests.test_evidence import missing

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/how-to").glob("*.md"))
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"\b4[23]\d\d\b")
MARK = "--- end of block ---"
LONGEST = 150


@dataclass(frozen=True, slots=True)
class Step:
    """Commands, and the block that shows their answer, if one follows."""

    commands: str
    answer: tuple[str, str] | None


def steps(page: str) -> list[Step]:
    """What a page tells to run, in its order."""
    found = BLOCK.findall(page)
    following = [*found[1:], ("sh", "")]
    return [
        Step(text, None if after[0] == "sh" else after)
        for (kind, text), after in zip(found, following, strict=False)
        if kind == "sh"
    ]


def as_shown(answer: tuple[str, str], printed: str) -> bool:
    """Whether what was printed is the JSON that is shown, or has the lines that are shown, in their order."""
    kind, shown = answer
    if kind == "json":
        return bool(json.loads(printed) == json.loads(shown))
    lines = iter(printed.splitlines())
    return all(any(wanted.strip() in line for line in lines) for wanted in shown.splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like the repository's, with ports that nobody uses."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for name in ("schema", "dure"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@contextmanager
def needed() -> Iterator[Path]:
    """What the commands want that is not Python; where graphql-js is: the explorer has it."""
    for binary, package in (("curl", "curl"), ("redis-server", "redis-server")):
        find(binary, package)
    yield explorer.build().parent / "node_modules"


@pytest.fixture(scope="module")
def node_modules() -> Iterator[Path]:
    """The modules of graphql-js. Skipped where a command is missing."""
    yield from serve(needed())


def with_free_ports(folder: Path, texts: list[str]) -> list[str]:
    """The texts with other ports in place of theirs; the files of the examples have the same."""
    names = sorted(set(PORT.findall("\n".join(texts))))
    instead = {name: str(free_port()) for name in names}
    for file in (folder / "examples").rglob("*.yaml"):
        file.write_text(PORT.sub(lambda found: instead.get(found[0], found[0]), file.read_text()))
    return [PORT.sub(lambda found: instead[found[0]], text) for text in texts]


def run(commands: list[str], folder: Path, node_modules: Path) -> Iterator[str]:
    """What each block prints. Whatever they leave running is ended."""
    script = folder / "script.sh"
    script.write_text("set -eu\n" + "".join(f"{text}\nprintf '\\n{MARK}\\n'\n" for text in commands))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "DURE_"))}
    environment["NODE_PATH"] = str(node_modules)
    printed, said = folder / "printed", folder / "said"
    with printed.open("wb") as out, said.open("wb") as err:
        process = subprocess.Popen(
            ["bash", str(script)], cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = process.wait(LONGEST)
        finally:
            with suppress(ProcessLookupError):  # nothing was left running
                os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, said.read_text()[-3000:] + printed.read_text()[-1000:]
    yield from printed.read_text().split(MARK)


def router_alone() -> str:
    """The README's part on the router."""
    return (ROOT / "README.md").read_text(encoding="utf-8").partition("## The router alone")[2].partition("\n## ")[0]


RUN = {page.stem: text for page in PAGES if steps(text := page.read_text(encoding="utf-8"))} | {
    "the-router-alone": router_alone()
}


@pytest.mark.e2e
@pytest.mark.parametrize("page", RUN)
def test_the_commands_answer_what_the_page_says(page: str, folder: Path, node_modules: Path) -> None:
    todo = steps(RUN[page])
    assert todo
    commands = with_free_ports(folder, [step.commands for step in todo])
    for step, printed in zip(todo, run(commands, folder, node_modules), strict=False):
        assert step.answer is None or as_shown(step.answer, printed), f"{step.commands}\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_named_exists(page: Path) -> None:
    assert missing(page.read_text(encoding="utf-8")) == []
    assert page.name == "README.md" or page.name in (ROOT / "docs/how-to/README.md").read_text(encoding="utf-8")


def test_a_wrong_answer_is_noticed() -> None:
    assert as_shown(("json", '{"a": [1]}'), '{"a":[1]}\n')
    assert not as_shown(("json", '{"a": [1]}'), '{"a":[2]}\n')
    assert as_shown(("text", "one\nthree\n"), "one\ntwo\nthree\n")
    assert not as_shown(("text", "three\none\n"), "one\ntwo\nthree\n")
