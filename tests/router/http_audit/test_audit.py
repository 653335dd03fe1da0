"""The public audit of GraphQL over HTTP (npm ``graphql-http``), against a router of its own process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import serve
from tests.support import explorer

CHECKS = 61
"""How many the audit has: fewer would mean that it did not run to its end."""


@contextmanager
def packages() -> Iterator[Path]:
    """The audit is one of the explorer's packages."""
    yield explorer.build()


@pytest.fixture(scope="module", autouse=True)
def _audit_is_installed() -> Iterator[Path]:
    yield from serve(packages())


def audit(url: str) -> list[dict[str, str]]:
    """Every check with its id, name, status (``ok``, ``notice``, ``warn``, ``error``) and reason."""
    script = Path(__file__).with_name("audit.mjs")
    done = subprocess.run(["node", str(script), url], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_check_of_the_audit_is_ok(router_url: str) -> None:
    """All of MUST, SHOULD and MAY: none is left at a notice or a warning."""
    found = audit(f"{router_url}/graphql")
    assert len(found) == CHECKS
    assert [check for check in found if check["status"] != "ok"] == []


def test_the_audit_notices_what_is_no_graphql(router_url: str) -> None:
    """At an address where nothing is, checks of every kind fail."""
    found = audit(f"{router_url}/nowhere")
    assert len(found) == CHECKS
    assert {"error", "warn", "notice"} <= {check["status"] for check in found}
