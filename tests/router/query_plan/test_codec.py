"""Plans survive being written as JSON."""

from __future__ import annotations

import pytest

from router.query_plan.codec import from_json, to_json
from tests.router.planner.support import plan_over
from tests.router.planner.test_cases import CASES, read_case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_plan_read_back_is_the_plan_written(path: object) -> None:
    """Every golden plan comes back equal, its sets and tuples included."""
    subgraphs, operation, labels, _ = read_case(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    found = plan_over(subgraphs, operation, labels)
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize("text", ["[]", "{}", '{"kind": "Key", "name": "a"}', '{"kind": "Nothing"}', "1"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """Other JSON raises ValueError."""
    with pytest.raises(ValueError, match="not a query plan"):
        from_json(text)
