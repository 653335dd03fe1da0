"""Every case file, through the front door: the codes that composition gives, and that what it emits is sound."""

from __future__ import annotations

import pytest
from graphql import build_schema

from router.composition.compose import compose
from router.errors import CompositionErrorCode
from router.supergraph.load import load_supergraph
from tests.router.composition.cases import Case, read_cases

CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_composition_gives_the_codes_of_the_case(case: Case) -> None:
    """Exactly the expected errors, at least the expected hints; a supergraph if and only if there is no error."""
    result = compose(case.subgraphs)
    assert {error.code.value for error in result.errors} == case.codes, [str(error) for error in result.errors]
    assert case.hints <= {hint.code for hint in result.hints}
    assert not case.no_hints & {hint.code for hint in result.hints}
    assert (result.supergraph_sdl is None) == bool(case.codes)
    if result.supergraph_sdl is not None:
        build_schema(result.supergraph_sdl)
        load_supergraph(result.supergraph_sdl)


@pytest.mark.parametrize("case", [case for case in CASES if case.codes], ids=str)
def test_errors_name_a_subgraph_or_concern_all(case: Case) -> None:
    """Whoever reads an error can find where it is; only a missing query root is nobody's in particular."""
    for error in compose(case.subgraphs).errors:
        assert error.subgraphs or error.code is CompositionErrorCode.NO_QUERIES
        for place in error.places:
            assert place.subgraph in {source.name for source in case.subgraphs}


def test_every_error_code_has_a_case() -> None:
    """No code is there that nothing can provoke."""
    covered = {code for case in CASES for code in case.codes}
    assert set(CompositionErrorCode) == {CompositionErrorCode(code) for code in covered}


@pytest.mark.parametrize("case", [case for case in CASES if not case.codes], ids=str)
def test_order_of_subgraphs_does_not_matter(case: Case) -> None:
    """The same subgraphs give the same text, however they are listed."""
    assert compose(case.subgraphs[::-1]).supergraph_sdl == compose(case.subgraphs).supergraph_sdl
