"""Reads the composition cases: small groups of subgraphs, each with the codes that composing them must give.

A file of cases holds, for each::

    === EXTERNAL_UNUSED: what is special about it        (codes, "ok", "hint CODE", "no hint CODE")
    --- a                                                (a Federation 2 subgraph; its link is added)
    type Query { ... }
    --- b v1                                             (a subgraph without any link)
    --- c raw                                            (a subgraph that links for itself)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from router.composition.model import SubgraphInput
from router.composition.spec import DIRECTIVES

FOLDER = Path(__file__).parent / "cases"


@dataclass
class Case:
    """``codes`` are the error codes expected, ``hints`` the hint codes that must be among those given.

    ``no_hints`` must not be among them.
    """

    file: str
    title: str
    codes: set[str] = field(default_factory=set)
    hints: set[str] = field(default_factory=set)
    no_hints: set[str] = field(default_factory=set)
    subgraphs: list[SubgraphInput] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.file}: {self.title}"


def read_cases(folder: Path = FOLDER) -> list[Case]:
    """Every case of every file."""
    return [case for file in sorted(folder.glob("*.cases")) for case in _read(file)]


def _read(file: Path) -> list[Case]:
    cases = []
    for block in file.read_text().split("=== ")[1:]:
        head, *parts = block.split("--- ")
        expected, _, title = head.strip().partition(": ")
        case = Case(file.stem, title)
        for code in expected.split(", "):
            if code.startswith("hint "):
                case.hints.add(code.removeprefix("hint "))
            elif code.startswith("no hint "):
                case.no_hints.add(code.removeprefix("no hint "))
            elif code != "ok":
                case.codes.add(code)
        for part in parts:
            name, _, sdl = part.partition("\n")
            case.subgraphs.append(_subgraph(name.strip(), sdl))
        cases.append(case)
    return cases


def _subgraph(head: str, sdl: str) -> SubgraphInput:
    name, _, mode = head.partition(" ")
    if mode == "":
        sdl = link() + sdl
    return SubgraphInput(name, f"http://{name}", sdl)


def link(version: tuple[int, int] = (2, 12)) -> str:
    """A federation link that imports everything."""
    imports = ", ".join(f'"@{spec.name}"' for spec in DIRECTIVES if spec.since <= version)
    return (
        f'extend schema @link(url: "https://specs.apollo.dev/federation/v{version[0]}.{version[1]}",'
        f" import: [{imports}])\n"
    )
