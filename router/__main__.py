"""The router's command line: ``python -m router COMMAND``.

Every command is thin: it reads its inputs, calls one phase, prints what came of it. Errors go to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from router.errors import RouterError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """A federation router: compose subgraphs, look into plans, serve the graph."""


@app.command()
def compose(
    subgraph: Annotated[list[str] | None, typer.Option(metavar="NAME=URL=SDLFILE", help="Repeat for each.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file that lists the subgraphs.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the supergraph SDL; else standard output.")] = None,
) -> None:
    """Compose subgraphs into a supergraph SDL, or print every reason why that cannot be done."""
    from router.composition.compose import compose as compose_subgraphs
    from router.pipeline.introspect import read_subgraph_sources

    try:
        result = compose_subgraphs(read_subgraph_sources(subgraph or [], config))
    except RouterError as error:
        raise _failed(str(error)) from error
    for hint in result.hints:
        typer.echo(f"hint {hint}", err=True)
    if result.supergraph_sdl is None:
        raise _failed(*(str(error) for error in result.errors))
    if output is None:
        sys.stdout.write(result.supergraph_sdl)
    else:
        output.write_text(result.supergraph_sdl, encoding="utf-8")


def _failed(*messages: str) -> typer.Exit:
    for message in messages:
        typer.echo(f"error {message}", err=True)
    return typer.Exit(code=1)


if __name__ == "__main__":
    app()
