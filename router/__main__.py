"""The router's command line: ``python -m router COMMAND``.

Every command is thin: it reads its inputs, calls one phase, prints what came of it. Errors go to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from json import dumps, loads
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from router.errors import RouterError

if TYPE_CHECKING:
    from router.planner.plan import Stages
    from router.query_graph.build import QueryGraph

T = TypeVar("T")

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """A federation router: compose subgraphs, look into plans, serve the graph."""


@app.command()
def compose(
    subgraph: Annotated[list[str] | None, typer.Option(metavar="NAME=URL=SDLFILE", help="Repeat for each.")] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file that lists the subgraphs.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to write the supergraph SDL; else standard output.")
    ] = None,
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


# --- serving ------------------------------------------------------------------------------------------------------


@app.command()
def serve(
    supergraph: Annotated[Path | None, typer.Option(help="The supergraph SDL; else --config is composed.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings, and the subgraphs to compose, in YAML.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 4000,
    dev: Annotated[
        bool, typer.Option("--dev", help="Introspection, explorer, error details, plans on request.")
    ] = False,
) -> None:
    """Serve a supergraph at /graphql, and follow its changes."""
    import asyncio

    import uvloop
    from pydantic import ValidationError

    from router.app import create_app
    from router.pipeline.following import source
    from router.pipeline.serving import InternalDoor, serve_router
    from router.pipeline.supergraph_source import from_config, from_file
    from router.pipeline.tls import certificate_of
    from router.settings import read_settings
    from router.telemetry import Telemetry, logs
    from router.telemetry.export import exporting

    if supergraph is None and config is None:
        raise _failed("Give --supergraph FILE, or --config FILE with subgraphs to compose.")
    try:
        load = from_file(supergraph) if supergraph is not None else from_config(cast(Path, config))
        look = source(load, lambda: read_settings(config, **({"dev": True} if dev else {})), config)
        wanted = asyncio.run(look())
        settings = wanted.settings
        certificate = certificate_of(settings.tls)
        logs.configure(settings.log_level, settings.log_format)
        traces = exporting("router", settings.trace_ratio, settings.otlp_endpoint)
        telemetry = Telemetry(tracer=traces.get_tracer("router") if traces is not None else None)
        application = create_app(wanted.supergraph_sdl, settings, telemetry=telemetry)
    except (RouterError, ValidationError) as error:
        raise _failed(str(error)) from error
    application.follows = look, wanted
    watched = InternalDoor(telemetry.exposition, application.health, application.invalidation, application.usage)
    uvloop.run(serve_router(application, watched, settings, host, port, certificate))
    if traces is not None:
        traces.shutdown()


@app.command()
def openapi(
    supergraph: Annotated[Path, typer.Option(help="The supergraph SDL.")],
    bindings: Annotated[Path, typer.Option(help="The REST bindings: what the setting `rest` names.")],
    output: Annotated[Path | None, typer.Option(help="Where to write the document; else standard output.")] = None,
) -> None:
    """Write the OpenAPI document of REST bindings, or print every reason why they do not fit the graph."""
    from router.pipeline.rest.bindings import read_bindings
    from router.pipeline.rest.openapi import openapi as document_of
    from router.supergraph.api_schema import api_schema
    from router.supergraph.load import load_supergraph

    try:
        schema = api_schema(load_supergraph(supergraph.read_text(encoding="utf-8")))
        document = document_of(read_bindings(bindings, schema), schema)
    except (RouterError, OSError) as error:
        raise _failed(str(error)) from error
    text = dumps(document, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


@app.command()
def usage(
    url: Annotated[str, typer.Option(help="The operators' port of a running router.")] = "http://127.0.0.1:5000",
    unused: Annotated[bool, typer.Option("--unused", help="Only operations that nobody has used.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print which published operations and which deprecated parts of the graph were used, and by whom."""
    from urllib.request import urlopen

    from router.telemetry.usage import lines

    try:
        with urlopen(f"{url.rstrip('/')}/usage", timeout=5) as answer:
            report = loads(answer.read())
    except (OSError, ValueError) as error:
        raise _failed(f"No report from {url}: {error}") from error
    if unused:
        report["operations"] = [one for one in report["operations"] if not one["count"]]
    _print(report, json, lines(report))


# --- planning -----------------------------------------------------------------------------------------------------

SupergraphFile = Annotated[Path, typer.Option("--supergraph", help="The supergraph SDL.")]
OperationFile = Annotated[str, typer.Option("--operation", help="A file with the operation, or - for standard input.")]
OperationName = Annotated[str | None, typer.Option("--operation-name", help="Which operation of the document.")]
Variables = Annotated[str, typer.Option("--variables", help="JSON; only what @skip, @include and @defer use matters.")]
Labels = Annotated[list[str] | None, typer.Option("--override-label", help="An active @override label. Repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def normalize(
    supergraph: SupergraphFile,
    operation: OperationFile,
    operation_name: OperationName = None,
    variables: Variables = "{}",
    json: Json = False,
) -> None:
    """Print an operation as the planner reads it: fragments inlined, fields merged, conditions decided."""
    from dataclasses import asdict

    from router.operation.printer import print_operation

    found = _stages(supergraph, operation, operation_name, variables, None).operation
    _print(loads(dumps(asdict(found), default=sorted)), json, [print_operation(found)])


@app.command()
def graph(supergraph: SupergraphFile, override_label: Labels = None, json: Json = False) -> None:
    """Print the query graph: every node an operation can reach, and its edges."""
    from router.planner.inspect import describe_graph

    nodes = describe_graph(_query_graph(supergraph, override_label))
    _print(nodes, json, (line for node, edges in nodes.items() for line in (node, *(f"  {edge}" for edge in edges))))


@app.command()
def paths(
    supergraph: SupergraphFile,
    operation: OperationFile,
    operation_name: OperationName = None,
    variables: Variables = "{}",
    override_label: Labels = None,
    json: Json = False,
) -> None:
    """Print, for every field of an operation, the ways to it and what each costs."""
    from router.planner.inspect import describe_paths

    found = _planned(describe_paths, _stages(supergraph, operation, operation_name, variables, override_label))
    _print(found, json, (line for field, ways in found.items() for line in (field, *(f"  {way}" for way in ways))))


@app.command()
def fetch_graph(
    supergraph: SupergraphFile,
    operation: OperationFile,
    operation_name: OperationName = None,
    variables: Variables = "{}",
    override_label: Labels = None,
    json: Json = False,
) -> None:
    """Print every fetch of an operation and which fetches it waits for."""
    from router.planner.inspect import describe_fetch_graph

    found = _planned(describe_fetch_graph, _stages(supergraph, operation, operation_name, variables, override_label))
    lines = (
        line
        for fetch in found
        for line in (f"{fetch['id']} {fetch['subgraph']} after {fetch['after']}", *(f"  {p}" for p in fetch["fetches"]))
    )
    _print(found, json, lines)


@app.command()
def plan(
    supergraph: SupergraphFile,
    operation: OperationFile,
    operation_name: OperationName = None,
    variables: Variables = "{}",
    override_label: Labels = None,
    json: Json = False,
) -> None:
    """Print the query plan of an operation."""
    from router.planner.plan import finish
    from router.query_plan.codec import to_data
    from router.query_plan.printer import print_plan

    found = _planned(finish, _stages(supergraph, operation, operation_name, variables, override_label))
    _print(to_data(found), json, [print_plan(found).rstrip()])


def _query_graph(supergraph: Path, labels: list[str] | None) -> QueryGraph:
    from router.query_graph.build import QueryGraph
    from router.supergraph.load import load_supergraph

    try:
        return QueryGraph(load_supergraph(supergraph.read_text(encoding="utf-8")), frozenset(labels or ()))
    except (RouterError, OSError) as error:
        raise _failed(str(error)) from error


def _stages(supergraph: Path, operation: str, name: str | None, variables: str, labels: list[str] | None) -> Stages:
    """An operation on its way through the planner."""
    from graphql import GraphQLError, parse, validate

    from router.operation.normalize import normalize
    from router.planner.plan import DEADLINE, Stages
    from router.supergraph.api_schema import api_schema

    query_graph = _query_graph(supergraph, labels)
    try:
        document = parse(sys.stdin.read() if operation == "-" else Path(operation).read_text(encoding="utf-8"))
        schema = api_schema(query_graph.supergraph)
        if errors := validate(schema, document):
            raise _failed(*(str(error) for error in errors))
        values = {key: value for key, value in loads(variables).items() if isinstance(value, bool)}
        normalized = normalize(document, name, schema, values)
    except (RouterError, GraphQLError, OSError, ValueError) as error:
        raise _failed(str(error)) from error
    return Stages(query_graph, normalized, monotonic() + DEADLINE)


def _planned(describe: Callable[[Stages], T], stages: Stages) -> T:
    try:
        return describe(stages)
    except RouterError as error:
        raise _failed(str(error)) from error


def _print(data: object, as_json: bool, lines: Iterable[str]) -> None:
    typer.echo(dumps(data, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


if __name__ == "__main__":
    app()
