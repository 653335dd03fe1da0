"""Hand-made graphs, theme by theme: answers are the unsplit graph's, and subgraphs are asked only what they know."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from tests.router.conformance.bench import Bench, Case, composed, same_answer
from tests.router.conformance.case_files import FOLDER, read_case

PATHS = sorted(FOLDER.glob("*.case"))


@lru_cache(maxsize=4)
def prepared(path: Path) -> tuple[Case, Bench]:
    """A case, composed."""
    case = read_case(path.read_text(encoding="utf-8"))
    return case, Bench(case, composed(case))


def numbered() -> list[tuple[Path, int]]:
    """Every operation of every case file."""
    return [
        (path, number) for path in PATHS for number in range(path.read_text(encoding="utf-8").count("--- operation\n"))
    ]


@pytest.mark.parametrize(("path", "number"), numbered(), ids=lambda value: getattr(value, "stem", str(value)))
async def test_operation(path: Path, number: int) -> None:
    """The answer is the expected one, and no subgraph was asked for what it cannot know."""
    case, bench = prepared(path)
    asked = case.asked[number]
    found = await bench.answer(asked)
    assert not bench.problems
    assert same_answer(found, asked.expected), found
    assert asked.requests is None or len(bench.log) <= asked.requests, bench.log


async def test_a_subgraph_asked_for_too_much_is_noticed() -> None:
    """The subgraphs of these tests refuse what they cannot know, so that a careless plan fails."""
    _, bench = prepared(FOLDER / "requires-chain.case")
    bench.serve(
        bench.subgraphs["b"],
        "query($r:[_Any!]!){_entities(representations:$r){...on Box{area}}}",
        {"r": [{"__typename": "Box", "id": "1", "width": 2}]},
    )
    assert bench.problems
