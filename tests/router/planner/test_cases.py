"""Golden plans: each file in ``cases`` holds subgraphs, an operation and the plan expected of it.

``pytest --update-golden`` writes the plans anew; read the difference before committing it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.query_plan.printer import print_plan
from tests.router.planner.support import plan_over

CASES = sorted((Path(__file__).parent / "cases").glob("*.plan"))
SECTION = re.compile(r"^--- (\w+)(?: (\S+))?\n", re.MULTILINE)


def read_case(text: str) -> tuple[dict[str, str], str, frozenset[str], str]:
    """Subgraphs, operation, active override labels and expected plan of a case file."""
    subgraphs: dict[str, str] = {}
    parts = {"operation": "", "labels": "", "plan": ""}
    _, *found = SECTION.split(text)
    for kind, name, body in zip(found[::3], found[1::3], found[2::3], strict=True):
        if kind == "subgraph":
            subgraphs[name] = body
        else:
            parts[kind] = body
    return subgraphs, parts["operation"], frozenset(parts["labels"].split()), parts["plan"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, request: pytest.FixtureRequest) -> None:
    """The operation of the case gets exactly the plan written down in it."""
    text = path.read_text(encoding="utf-8")
    subgraphs, operation, labels, expected = read_case(text)
    found = print_plan(plan_over(subgraphs, operation, labels))
    if request.config.getoption("--update-golden"):
        path.write_text(text.partition("--- plan\n")[0] + "--- plan\n" + found, encoding="utf-8")
        return
    assert found == expected
