"""The import rules of the architecture are enforced: a planted violation is caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("router", "subgraphs", "messaging", "db", "dure")
PLANTED = [
    ("router/planner/plan.py", "import router.executor.execute", "Planner and executor share only the query plan"),
    ("router/app.py", "import subgraphs.kit.ids", "The router knows subgraphs only through SDL and HTTP"),
    ("router/composition/compose.py", "import asyncio", "Composition and planning do no I/O"),
    ("router/query_graph/build.py", "import router.pipeline.pipeline", "Router phases"),
    ("subgraphs/orders/schema.py", "import subgraphs.payments.domain", "Subgraphs are independent"),
    ("subgraphs/kit/ids.py", "import subgraphs.users.domain", "The kit knows no subgraph"),
    ("subgraphs/delivery/domain.py", "import sqlalchemy", "Domain rules do no I/O"),
    ("subgraphs/funding/models.py", "import subgraphs.funding.schema", "Inside a subgraph"),
    ("messaging/outbox.py", "import subgraphs.kit.ids", "Top-level packages point one way"),
    ("db/session.py", "import messaging.outbox", "Top-level packages point one way"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(folder / ".importlinter"),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PYTHONPATH": str(folder)})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source, to plant something in."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_source_keeps_every_contract(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(("path", "line", "contract"), PLANTED, ids=[f"{path}: {line}" for path, line, _ in PLANTED])
def test_a_planted_violation_is_caught(copy: Path, path: str, line: str, contract: str) -> None:
    module = copy / path
    module.write_text(module.read_text() + f"\n{line}\n")
    found = lint(copy)
    assert found.returncode == 1
    assert f"{contract} BROKEN" in found.stdout
