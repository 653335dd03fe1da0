"""``docs/failpoints.md``: the places where a test kills the process, read from the source."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from dure.docs.markdown import page as markdown
from dure.docs.markdown import table
from dure.settings import ROOT

PACKAGES = ("db", "messaging", "subgraphs", "dure")


def page() -> str:
    """Every failpoint and where it stands."""
    return markdown(
        "Failpoints",
        "With `DURE_FAILPOINT=<name>` a process kills itself (SIGKILL, no clean-up) when it comes by; "
        "`DURE_FAILPOINT=<name>:3` at the third visit. Started again without it, the shop must end in a consistent "
        "state: `dure audit` prints nothing. The tests that do so are in `tests/dure/test_kill.py` and beside the "
        "code of each subgraph.",
        table(("failpoint", "in"), ((f"`{name}`", ", ".join(found)) for name, found in sorted(places().items()))),
    )


def places() -> dict[str, list[str]]:
    """The files in which each failpoint is visited."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in sorted(_visited(path)):
                found[name].append(f"`{path.relative_to(ROOT)}`")
    return dict(found)


def _visited(path: Path) -> set[str]:
    return {
        _name(call.args[0])
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "failpoint"
    }


def _name(argument: ast.expr) -> str:
    """What is in the quotes, with the names of what is filled in: ``products.<step>.before_commit``."""
    match argument:
        case ast.Constant(value=name):
            return str(name)
        case ast.JoinedStr(values=parts):
            return "".join(_name(part) for part in parts)
        case ast.FormattedValue(value=value):
            return f"<{ast.unparse(value)}>"
        case _:
            raise ValueError(f"a failpoint without a written name: {ast.unparse(argument)}")
