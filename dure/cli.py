"""The ``dure`` command: each sub-command reads settings, does one thing, says in one line why it could not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError

from db import telemetry
from dure import preflight, secrets
from dure.errors import StartError
from dure.progress import console, errors
from dure.settings import Settings
from router.telemetry import logs

app = typer.Typer(
    help="One commerce platform behind one GraphQL graph.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
part = typer.Typer(help="A single part of the shop as a process of its own (what `up --split` starts).")
app.add_typer(part, name="part")
key = typer.Typer(help="The keys that seal personal data in the databases.")
app.add_typer(key, name="keys")
simulator = typer.Typer(help="The payment provider's simulator of a running shop: have it misbehave, play the bank.")
app.add_typer(simulator, name="simulator")


def main() -> None:
    """Run the command; a StartError is one line and exit code 1."""
    logs.configure("warning", "auto")
    try:
        app()
    except StartError as error:
        errors.print(f"[red]dure:[/red] {error}", soft_wrap=True)
        sys.exit(1)


@app.command()
def up(split: Annotated[bool, typer.Option(help="Every part in a process of its own.")] = False) -> None:
    """Start the shop and keep it running until Ctrl-C."""
    from dure.serve import address, certificate

    settings = _settings()
    preflight.check(settings.host, settings.port, settings.data_dir)
    certificate()
    base = address(settings)
    preflight.set_addresses(settings.host, base)

    def announce() -> None:
        console.print(f"[bold green]dure is open[/bold green]  GraphQL  {base}/graphql", soft_wrap=True)
        if settings.dev:
            console.print(f"              explorer {base}/   mails {base}/dev/mails   try: dure demo", soft_wrap=True)
        console.print("              stop with Ctrl-C")

    if split:
        from dure.split import run as run_split

        _run(run_split(settings, announce))
    else:
        from dure.one_process import run as run_one

        _run(run_one(settings, announce))
    console.print("dure has stopped")


@app.command()
def demo(
    url: Annotated[str | None, typer.Option(help="Where the shop is; default: this machine's.")] = None,
) -> None:
    """Act as a newcomer: register, buy, back a project; exit 1 when any value is not what it must be."""
    from dure.demo import run
    from dure.serve import address

    settings = _settings()
    succeeded = _run(run(url or address(settings)))
    raise typer.Exit(0 if succeeded else 1)


@app.command()
def audit() -> None:
    """Recompute every invariant from the tables; print the violations, and nothing when all is well."""
    from dure.audit import run

    violations = _run(run(_settings()))
    for violation in violations:
        print(f"{violation.invariant}: {violation.detail}")
    raise typer.Exit(1 if violations else 0)


@app.command()
def reconcile() -> None:
    """Hold our payments against the provider's transactions; exit 1 and each difference, which is asked about."""
    from dure.reconcile import run

    differences = _run(run(_settings()))
    for difference in differences:
        print(difference)
    raise typer.Exit(1 if differences else 0)


Url = Annotated[str | None, typer.Option(help="The simulator's base address; default: the running shop's.")]


@simulator.command("fault")
def simulator_fault(
    kind: Annotated[str, typer.Argument(help="timeout_after, error, late_webhook, ...: another word lists them.")],
    path: Annotated[str, typer.Option(help="Calls that begin with this path.")] = "/v1/",
    times: Annotated[int, typer.Option(help="How many calls.")] = 1,
    code: Annotated[str | None, typer.Option(help="The provider's error code.")] = None,
    seconds: Annotated[float, typer.Option(help="How long a call hangs, or a webhook is late.")] = 30.0,
    url: Url = None,
) -> None:
    """The next calls go wrong in this way."""
    from dure.simulator import Fault, script

    script(_settings(), [Fault(kind, path, times, code, seconds)], url)


@simulator.command("script")
def simulator_script(file: Path, url: Url = None) -> None:
    """The same for a YAML file: a list of kind, path, times, code, seconds."""
    from dure.simulator import read, script

    console.print(f"{script(_settings(), read(file), url)} faults to come")


@simulator.command("clear")
def simulator_clear(url: Url = None) -> None:
    """Forget the faults that have not happened yet."""
    from dure.simulator import call

    call(_settings(), "DELETE", "faults", {}, url)


@simulator.command("deposit")
def simulator_deposit(order_number: str, url: Url = None) -> None:
    """Somebody pays into the virtual account of this order."""
    from dure.simulator import call

    call(_settings(), "POST", "deposits", {"orderId": order_number}, url)


@simulator.command("reverse")
def simulator_reverse(order_number: str, url: Url = None) -> None:
    """The bank takes the deposit of this order back."""
    from dure.simulator import call

    call(_settings(), "POST", "deposits/reversals", {"orderId": order_number}, url)


@app.command()
def fairness(
    sale: Annotated[str, typer.Argument(help="The flash sale's id.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How fair a flash sale was: order of arrival and of admission, waits, claims a customer, what became of all."""
    from dure import fairness as report

    found = _run(report.run(_settings(), sale))
    if as_json:
        print(report.as_json(found))
    else:
        report.show(found, console)


@app.command()
def migrate(
    with_demo_data: Annotated[bool, typer.Option("--demo-data", help="Load the demo's data, too.")] = False,
) -> None:
    """Bring every database to its newest revision."""
    from dure import demo_data
    from dure.databases import migrate as run

    settings = _settings()
    _run(run(settings))
    if with_demo_data:
        _run(demo_data.load(settings))


@app.command()
def revise(subgraph: str, message: str) -> None:
    """Write a new Alembic revision for what a subgraph's models have and its history has not."""
    from dure.databases import revise as run

    _run(run(subgraph, message))


@app.command()
def schema(write: Annotated[bool, typer.Option(help="Write schema/ instead of comparing it.")] = False) -> None:
    """Compare schema/ with the code; exit 1 and the files that differ."""
    from dure import schema as files

    folder = _settings().schema_dir
    stale = files.write(folder) if write else files.drift(folder)
    for path in stale:
        print(f"{'wrote' if write else 'differs:'} {folder.name}/{path}")
    raise typer.Exit(1 if stale and not write else 0)


@app.command()
def docs(check: Annotated[bool, typer.Option("--check", help="Compare docs/ instead of writing it.")] = False) -> None:
    """Generate the parts of docs/ that come from code: ERDs, the event catalogue, the settings."""
    from dure import docs as files

    stale = files.drift() if check else files.write()
    for path in stale:
        print(f"{'differs:' if check else 'wrote'} {path}")
    raise typer.Exit(1 if stale and check else 0)


@key.command("new")
def keys_new() -> None:
    """Print the value of DURE_DATA_KEYS with a new key before those in use."""
    from dure import keys

    _settings()
    keys.ring()
    print(keys.with_new_key())


@key.command("rotate")
def keys_rotate() -> None:
    """Seal everything under the first key, while the shop runs; stopped or killed, run it again."""
    from dure import keys

    settings = _settings()

    async def run() -> int:
        done = 0
        async for subgraph, table, count in keys.rotate(settings):
            done += count
            console.print(f"{subgraph}.{table}: {count} rows")
        return done

    console.print(f"{_run(run())} rows sealed anew")


@key.command("status")
def keys_status() -> None:
    """How much each key still seals; exit 1 when there is something that none of them opens."""
    from dure import keys

    values, events = _run(keys.usage(_settings()))
    for name in keys.ring().names:
        print(f"{name}: {values[name]} values, {events[name]} events")
    if values["?"]:
        print(f"unreadable: {values['?']} values are sealed with keys that are not in DURE_DATA_KEYS")
    raise typer.Exit(1 if values["?"] else 0)


@part.command("api")
def part_api(subgraph: str) -> None:
    """A subgraph's GraphQL over HTTP."""
    from dure.parts import run_api

    _run(run_api(_settings(), _known(subgraph), lambda: None))


@part.command("workers")
def part_workers(subgraph: str) -> None:
    """A subgraph's relay, consumer and sweepers."""
    from dure.parts import run_workers

    _run(run_workers(_settings(), _known(subgraph)))


@part.command("router")
def part_router() -> None:
    """The router, before subgraphs at their split-mode ports."""
    from dure.parts import run_router

    _run(run_router(_settings(), lambda: None))


@part.command("provider")
def part_provider() -> None:
    """The payment provider's simulator."""
    from dure.parts import run_provider

    _run(run_provider(_settings()))


def _known(subgraph: str) -> str:
    from dure import subgraphs

    if subgraph not in subgraphs.ALL:
        raise StartError(f"no subgraph {subgraph!r}; there are {', '.join(subgraphs.ALL)}")
    return subgraph


def _settings() -> Settings:
    data_dir = Path(os.environ.get("DURE_DATA_DIR", ".dure"))
    preflight.check_folder(data_dir)
    secrets.put_into_environment(data_dir)
    try:
        settings = Settings()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        lines = [f"DURE_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        raise StartError("; ".join(lines)) from None
    logs.configure(settings.log_level, settings.log_format, None, _add_cause)
    return settings


def _add_cause(_logger: Any, _method: str, event: Any) -> Any:
    """Lines of work for an event or a subgraph's request belong to its trace."""
    cause = telemetry.cause()
    if cause is not None:
        event.setdefault("trace_id", cause.traceparent[3:35])
    return event


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(work)
        except asyncio.CancelledError:
            return None
