"""``schema/``: the subgraphs' SDL printed from code, and the supergraph composed from it. Data only, a lock file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from graphql import REMOVE, Node, Visitor, parse, print_ast, visit

from dure import rest, subgraphs
from dure.errors import StartError
from router.composition.compose import SubgraphInput, compose


def subgraph_sdl() -> dict[str, str]:
    """The SDL that each subgraph's code prints."""
    return {name: _without_machinery(entry.schema.as_str()) for name, entry in subgraphs.ALL.items()}


def _without_machinery(sdl: str) -> str:
    """The SDL without what every subgraph has for the router's sake."""
    document = parse(sdl)
    machinery = {"_Any", "_Entity", "_Service", "_entities", "_service"}

    class Strip(Visitor):
        def enter(self, node: Node, *_: object) -> object:
            name = getattr(node, "name", None)
            return REMOVE if getattr(name, "value", None) in machinery else None

    return print_ast(visit(document, Strip())) + "\n"


def supergraph_sdl(sdl: Mapping[str, str]) -> str:
    """The supergraph of these subgraphs. Raises StartError with every composition error."""
    inputs = [SubgraphInput(name, f"http://{name}/graphql", sdl[name]) for name in sorted(sdl)]
    result = compose(inputs)
    if result.supergraph_sdl is None:
        raise StartError("the subgraphs do not compose:\n" + "\n".join(str(error) for error in result.errors))
    return result.supergraph_sdl


def files(folder: Path) -> dict[Path, str]:
    """What ``schema/`` must hold beside what is written there by hand, by path inside it."""
    sdl = subgraph_sdl()
    wanted = {Path("subgraphs") / f"{name}.graphql": text for name, text in sdl.items()}
    wanted[Path("supergraph.graphql")] = supergraph_sdl(sdl)
    wanted |= rest.files(folder, wanted[Path("supergraph.graphql")])
    return wanted


def drift(folder: Path) -> list[Path]:
    """The files whose content is not what the code says."""
    return [
        path
        for path, text in files(folder).items()
        if not (folder / path).exists() or (folder / path).read_text() != text
    ]


def write(folder: Path) -> list[Path]:
    """Write what has drifted; the files written."""
    stale = drift(folder)
    wanted = files(folder)
    for path in stale:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(wanted[path])
    return stale
