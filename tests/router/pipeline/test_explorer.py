"""What the explorer is given: examples for its first tabs, and a plan that says in which round a request was sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import SourceError
from router.settings import Settings
from tests.router.pipeline.client import call, post
from tests.router.pipeline.subgraphs import router, subgraphs


async def test_examples_are_served_with_the_text_of_their_operations(tmp_path: Path) -> None:
    """A list for the page; without the setting an empty one, without --dev none."""
    (tmp_path / "me.graphql").write_text("{ me { id } }")
    examples = tmp_path / "examples.json"
    examples.write_text('[{"file": "me.graphql", "headers": {"x": "y"}}]')
    app = router(subgraphs(), Settings(dev=True, explorer_examples=examples))
    listed = (await call(app, "GET", "/explorer/examples.json")).json
    assert listed == [{"query": "{ me { id } }", "variables": {}, "headers": {"x": "y"}}]
    assert (await call(router(subgraphs(), Settings(dev=True)), "GET", "/explorer/examples.json")).json == []
    assert (await call(router(subgraphs()), "GET", "/explorer/examples.json")).status == 404


@pytest.mark.parametrize(
    "text",
    ["[", "{}", '[{"file": "missing.graphql"}]', '[{"file": "x.graphql", "variables": []}]', '[{"query": "{a}"}]'],
)
def test_examples_that_cannot_be_read_are_an_error_at_the_start(tmp_path: Path, text: str) -> None:
    """The message names the file; nothing is served."""
    (tmp_path / "x.graphql").write_text("{ me { id } }")
    examples = tmp_path / "examples.json"
    examples.write_text(text)
    with pytest.raises(SourceError, match=r"examples\.json"):
        router(subgraphs(), Settings(dev=True, explorer_examples=examples))


async def test_the_plan_says_in_which_round_each_request_was_sent() -> None:
    """Requests that wait for others come in later rounds, those beside one another in the same."""
    app = router(subgraphs(), Settings(dev=True))
    query = "{products{reviews{author{name}}} me{id} latest{body}}"
    plan = (await post(app, query, router_plan="1")).json["extensions"]["plan"]
    sent = sorted((request["round"], request["subgraph"]) for request in plan["requests"])
    assert sent == [(1, "accounts"), (1, "catalog"), (1, "reviews"), (2, "reviews"), (3, "accounts")]
    assert plan["rounds"] == 3
