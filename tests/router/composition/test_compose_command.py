"""``python -m router compose``: what goes to which stream, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from router.__main__ import app
from router.errors import SourceError
from router.pipeline.introspect import fetch_sdl, read_config, read_configured, read_subgraph_sources

GOOD = {
    "a": 'type Query { t: T } type T @key(fields: "id") { id: ID! }',
    "b": 'type T @key(fields: "id") { id: ID! x: Int }',
}
BAD = {"a": "type Query { t: T } type T { x: Int }", "b": "type Query { u: T } enum T { A }"}


def options(folder: Path, documents: dict[str, str]) -> list[str]:
    """Write documents and name them on the command line."""
    arguments = []
    for name, sdl in documents.items():
        file = folder / f"{name}.graphql"
        file.write_text(sdl)
        arguments += ["--subgraph", f"{name}=http://{name}/graphql?v=1={file}"]
    return arguments


def test_supergraph_goes_to_standard_output(tmp_path: Path) -> None:
    """Exit 0, and nothing but SDL on standard output."""
    run = CliRunner().invoke(app, ["compose", *options(tmp_path, GOOD)])
    assert run.exit_code == 0
    assert run.stdout.startswith("schema\n")
    assert 'url: "http://a/graphql?v=1"' in run.stdout


def test_supergraph_goes_to_a_file(tmp_path: Path) -> None:
    """--output leaves standard output empty."""
    output = tmp_path / "supergraph.graphql"
    run = CliRunner().invoke(app, ["compose", *options(tmp_path, GOOD), "--output", str(output)])
    assert (run.exit_code, run.stdout) == (0, "")
    assert output.read_text().startswith("schema\n")


def test_errors_go_to_standard_error(tmp_path: Path) -> None:
    """Exit 1, each error with its code, subgraph and place; no file is written."""
    output = tmp_path / "supergraph.graphql"
    run = CliRunner().invoke(app, ["compose", *options(tmp_path, BAD), "--output", str(output)])
    assert (run.exit_code, run.stdout) == (1, "")
    assert "TYPE_KIND_MISMATCH" in run.stderr
    assert "a:1:26, b:1:26" in run.stderr
    assert not output.exists()


def test_all_errors_are_shown_at_once(tmp_path: Path) -> None:
    """Two broken subgraphs are two errors in one run."""
    broken = {"a": "type Query {", "b": "type Query { x: Nope }"}
    run = CliRunner().invoke(app, ["compose", *options(tmp_path, broken)])
    assert run.exit_code == 1
    assert "[a:1:13]" in run.stderr
    assert "[b:1:17]" in run.stderr


def test_hints_go_to_standard_error(tmp_path: Path) -> None:
    """A hint does not fail composition, and does not stand in the SDL."""
    documents = {"a": '"one" type Query { t: Int }', "b": '"two" type Query { u: Int }'}
    run = CliRunner().invoke(app, ["compose", *options(tmp_path, documents)])
    assert run.exit_code == 0
    assert "hint INCONSISTENT_DESCRIPTION" in run.stderr
    assert "hint" not in run.stdout


def test_config_file_names_files_relative_to_itself(tmp_path: Path) -> None:
    """The shape that other tools' files have."""
    options(tmp_path, GOOD)
    config = tmp_path / "supergraph.yaml"
    config.write_text(
        "federation_version: 2\n"
        "subgraphs:\n"
        "  a: {routing_url: http://a, schema: {file: ./a.graphql}}\n"
        "  b: {routing_url: http://b, schema: {file: b.graphql}}\n"
    )
    run = CliRunner().invoke(app, ["compose", "--config", str(config)])
    assert run.exit_code == 0
    assert 'B @join__graph(name: "b", url: "http://b")' in run.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subgraphs: {}", "has no subgraphs"),
        ("[1", "Cannot read"),
        ("subgraphs: {a: {routing_url: http://a}}", "needs a schema"),
        ("subgraphs: {a: {schema: {file: a.graphql}}}", "needs a routing_url"),
        ("subgraphs: {a: {routing_url: http://a, schema: {file: missing.graphql}}}", 'schema of subgraph "a"'),
    ],
)
def test_bad_config_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    """Exit 1 and a sentence, not a trace."""
    config = tmp_path / "supergraph.yaml"
    config.write_text(text)
    run = CliRunner().invoke(app, ["compose", "--config", str(config)])
    assert run.exit_code == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("option", ["nothing", "a=http://a", "=http://a=file"])
def test_bad_option_is_refused(option: str) -> None:
    """The three parts of an option are all needed."""
    with pytest.raises(SourceError, match="NAME=URL=SDLFILE"):
        read_subgraph_sources([option], None)


def test_no_subgraphs_and_twice_the_same_are_refused(tmp_path: Path) -> None:
    """Both are slips of the command line, told as such."""
    with pytest.raises(SourceError, match="No subgraphs"):
        read_subgraph_sources([], None)
    twice = [text for text in options(tmp_path, {"a": GOOD["a"]}) if text != "--subgraph"] * 2
    with pytest.raises(SourceError, match="given twice"):
        read_subgraph_sources(twice, None)


async def serve(answer: web.Response) -> tuple[web.AppRunner, str]:
    """A subgraph that always answers the same."""

    async def handle(request: web.Request) -> web.Response:
        assert (await request.json())["query"] == "{_service{sdl}}"
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    application = web.Application()
    application.router.add_post("/", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    return runner, f"http://127.0.0.1:{port}/"


async def test_running_subgraphs_are_asked_for_their_schema(tmp_path: Path) -> None:
    """schema.subgraph_url is asked; the routing URL defaults to it."""
    runner, url = await serve(web.json_response({"data": {"_service": {"sdl": "type Query { x: Int }"}}}))
    try:
        config = tmp_path / "supergraph.yaml"
        config.write_text(f"subgraphs: {{a: {{schema: {{subgraph_url: '{url}'}}}}}}")
        [source] = await read_configured(read_config(config), config)
        assert (source.name, source.url, source.sdl) == ("a", url, "type Query { x: Int }")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500, body=b"oops"),
        web.json_response({"errors": [{"message": "no"}]}),
        web.json_response({"data": {"_service": {"sdl": None}}}),
        web.json_response([]),
    ],
    ids=["no JSON", "errors", "null", "a list"],
)
async def test_useless_answers_are_refused(answer: web.Response) -> None:
    """Whatever comes back instead of a schema, the error names the subgraph."""
    runner, url = await serve(answer)
    try:
        with pytest.raises(SourceError, match='"a" at'):
            await fetch_sdl("a", url)
    finally:
        await runner.cleanup()


async def test_unreachable_subgraph_is_refused() -> None:
    """Nobody listens there."""
    with pytest.raises(SourceError, match='"a" at'):
        await fetch_sdl("a", "http://127.0.0.1:1/")
