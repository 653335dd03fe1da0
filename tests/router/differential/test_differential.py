"""The main oracle: the federated answer equals graphql-core's answer on the unsplit schema, data, nulls and order."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from router.executor.projection import compile_projection
from router.executor.representations import compile_collect
from router.query_plan.nodes import EntityFetch, RepresentationSelection
from tests.router.differential import cases
from tests.router.differential.compare import Bench, Difference, Refused

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "80"))
FOUND = sorted((Path(__file__).parent / "cases").glob("*.case"))


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, derandomize=True
)
@given(seed=st.randoms(use_true_random=False))
def test_the_federated_answer_is_the_unsplit_answer(seed: Random) -> None:
    """However a graph is split over subgraphs, clients cannot tell from the answers, nor from the schema."""
    try:
        cases.check(seed)
    except Refused:
        reject()


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_differences_once_found_stay_away(path: Path) -> None:
    """Every difference that was ever found is gone for good."""
    graph, operation = cases.load(path)
    Bench(graph).compare(operation)


def test_most_random_graphs_compose() -> None:
    """The oracle says little about graphs that are refused: at least half are not."""
    composed = 0
    for seed in range(20):
        try:
            Bench(cases.draw_graph(Random(seed)))
            composed += 1
        except Refused:
            continue
    assert composed >= 10


def _without_required(selection: RepresentationSelection) -> RepresentationSelection:
    kept = tuple(member for member in selection.fields if member.required)
    return RepresentationSelection(selection.types, selection.typename, kept)


def test_a_dropped_requirement_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with an executor that sends keys but not what ``@requires`` names, differences are found."""
    from router.executor import fetch as module

    collect = compile_collect

    def broken(entities: EntityFetch) -> object:
        selections = tuple(map(_without_required, entities.representations))
        return collect(EntityFetch(entities.alias, entities.variable, entities.paths, selections))

    monkeypatch.setattr(module, "compile_collect", broken)
    assert _finds_a_difference()


def test_a_wrong_order_of_members_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: an answer with the right values in another order is a difference."""
    from router.executor import execute as module

    project = compile_projection

    def broken(shape: object) -> object:
        made = project(shape)  # type: ignore[arg-type]
        return lambda data, errors: dict(reversed((made(data, errors) or {}).items()))

    monkeypatch.setattr(module, "compile_projection", broken)
    assert _finds_a_difference()


def _finds_a_difference() -> bool:
    for seed in range(40):
        try:
            cases.check(Random(seed))
        except Refused:
            continue
        except Difference:
            return True
    return False
