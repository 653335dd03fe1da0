"""Case files: subgraphs, rows, and operations with the answers expected of them.

Sections start with ``--- ``: ``subgraph NAME``, ``data`` (rows), ``data NAME`` (what that subgraph knows differently,
null for rows it does not know), ``labels``, and then for each operation ``operation``, ``variables`` (optional),
``requests`` (optional: how many the plan may take) and ``expected``, with ``"errors": true`` for any errors.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.router.conformance.bench import Asked, Case

SECTION = re.compile(r"^--- (\w+)(?: (\S+))?\n", re.MULTILINE)
FOLDER = Path(__file__).parent / "cases"


def read_case(text: str) -> Case:
    """A case from its file's text."""
    case = Case({}, {})
    _, *found = SECTION.split(text)
    for kind, name, body in zip(found[::3], found[1::3], found[2::3], strict=True):
        match kind:
            case "subgraph":
                case.subgraphs[name] = body
            case "data" if name:
                case.own[name] = json.loads(body)
            case "data":
                case.rows = json.loads(body)
            case "labels":
                case.labels = frozenset(body.split())
            case "operation":
                case.asked.append(Asked(body.strip()))
            case "variables":
                case.asked[-1].variables = json.loads(body)
            case "requests":
                case.asked[-1].requests = int(body)
            case "expected":
                case.asked[-1].expected = json.loads(body)
            case _:
                raise ValueError(f"no such section: {kind}")
    return case
