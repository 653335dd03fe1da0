"""schemathesis against a running shop, its REST endpoints and its graph, as each kind of caller.

``python -m tests.dure.fuzz`` (``make fuzz``) starts a shop of its own and spends schemathesis' default budget, 100
cases an operation. Hostile values go through every argument in turn (``fuzz_each``), there and in a shop on PostgreSQL
and one on MariaDB: what one database takes another does not. Words choose a part:
``python -m tests.dure.fuzz sqlite graphql partner``. At the end of each the shop's books must be right.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from dure.settings import ROOT
from tests.dure.fuzz_each import each_in_turn
from tests.dure.fuzz_people import CALLERS, ids, tokens, use
from tests.dure.shop import ShopProcess, make_buyer
from tests.dure.test_demo import per_subgraph
from tests.support import servers

UNLIMITED = {
    "DURE_USERS_ACCESS_TOKEN_LIFE": "PT9H",
    "ROUTER_RATE_LIMITS__ENABLED": "false",
    "ROUTER_COST__ENABLED": "false",
    "ROUTER_LIMITS__DEPTH": "50",
    "ROUTER_LIMITS__FIELDS_ANONYMOUS": "20000",
    "ROUTER_LIMITS__FIELDS_SIGNED_IN": "20000",
    "ROUTER_LIMITS__ALIASES": "1000",
    "ROUTER_LIMITS__TOKENS": "50000",
    "ROUTER_LIMITS__DOCUMENT_BYTES": "1000000",
    "ROUTER_LIMITS__BODY_BYTES": "2000000",
    "ROUTER_PLANNING_TIMEOUT": "10",
    "ROUTER_SUBGRAPH_TIMEOUT": "30",
    "ROUTER_REQUEST_TIMEOUT": "60",
}
"""Otherwise much of what is generated would be refused at the door, or a busy machine taken for an error."""

DATABASES: dict[str, Callable[[], AbstractContextManager[str | None]]] = {
    "sqlite": nullcontext,
    "postgres": servers.postgres,
    "mariadb": servers.mariadb,
}
REST_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ENDING = "^Mutation.(accountDelete|sessionRevoke|sessionsRevokeAll)$"
"""After these the caller is nobody: they come last."""


def fuzz_rest(url: str, token: str | None, *, examples: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run it over every endpoint; the exit code is 0 when no check failed. ``examples`` None: the default budget."""
    options = ["--checks", REST_CHECKS, "--phases", "coverage,fuzzing"]
    return _schemathesis(f"{url}/openapi.json", token, examples, options, {})


def fuzz_graph(
    url: str, token: str | None, known: list[str], *, examples: int | None = None, only: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it over every field of Query and Mutation, or those that match ``only``; ``known`` are ids that exist."""
    options = ["--checks", "no_server_error", "--phases", "fuzzing", "--continue-on-failure"]
    options += ["--exclude-name-regex", ENDING] if only is None else ["--include-name-regex", only]
    if examples is not None:
        options += ["--mode", "positive"]  # what does not fit the schema has the router's own tests
    with tempfile.NamedTemporaryFile("w", suffix=".ids") as file:
        file.write("\n".join(known))
        file.flush()
        hooks = {"SCHEMATHESIS_HOOKS": "tests.dure.fuzz_hooks", "FUZZ_IDS": file.name}
        return _schemathesis(f"{url}/graphql", token, examples, options, hooks)


def _schemathesis(
    location: str, token: str | None, examples: int | None, options: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", location, "--no-color", *options]
    command += ["--suppress-health-check=all", "--warnings=off"]
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
    if examples is None:
        command += ["--generation-database=none"]
    else:
        command += ["--max-examples", str(examples), "--generation-deterministic"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        return subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment)


async def _all(folder: Path, wanted: list[str]) -> int:
    failed = 0
    for name, server in DATABASES.items():
        if name in wanted or not DATABASES.keys() & set(wanted):
            with server() as url:
                settings = UNLIMITED | ({"DURE_DATABASE_URL": per_subgraph(url)} if url else {})
                failed += await _one(name, ShopProcess(folder / name, settings), wanted)
    return failed


async def _one(name: str, shop: ShopProcess, wanted: list[str]) -> int:
    await shop.start()
    failed = 0
    try:
        buyer = await make_buyer(shop.url)
        await use(shop, buyer)
        callers = await tokens(shop, buyer)
        known = await ids(shop, callers)
        for kind in [each for each in CALLERS if each in wanted] or CALLERS:
            if "graphql" not in wanted and name == "sqlite":
                failed += _told(f"REST, {kind}", await asyncio.to_thread(fuzz_rest, shop.url, callers[kind]))
            if "rest" not in wanted:
                failures = await each_in_turn(shop.url, callers[kind], known)
                print(f"each value in turn on {name}, {kind}: {len(failures)} failed", *failures, sep="\n", flush=True)
                failed += bool(failures)
            if "rest" not in wanted and name == "sqlite":
                for only in (None, ENDING):
                    done = await asyncio.to_thread(fuzz_graph, shop.url, callers[kind], known, only=only)
                    failed += _told(f"GraphQL, {kind}", done)
        audit = await asyncio.to_thread(shop.dure, "audit")
        print(f"audit: {audit.stdout or 'all is well'}{audit.stderr}")
        failed += audit.returncode != 0
    finally:
        await shop.stop()
        errors = [line for line in shop.log.splitlines() if '"level": "error"' in line]
        print("\n".join(errors) or "no error in the shop's log", flush=True)
    return failed + bool(errors)


def _told(what: str, done: subprocess.CompletedProcess[str]) -> bool:
    summary = done.stdout if done.returncode else done.stdout.strip().splitlines()[-1]
    print(f"{what}: {'failed' if done.returncode else 'clean'}\n{summary}{done.stderr}", flush=True)
    return done.returncode != 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(asyncio.run(_all(Path(place), sys.argv[1:])))
