"""Whatever is fed to composition, it answers: with a supergraph or with errors, never with an exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from router.composition.compose import SubgraphInput, compose
from tests.router.composition.cases import Case, read_cases

CASES = read_cases()
TOKENS = ["@external", "@shareable", "!", "[", "]", '"', "{", "}", "Query", "T", "id", "extend", "$", "5", "@key", "|"]


@st.composite
def damaged(draw: st.DrawFn) -> list[SubgraphInput]:
    """A case with words of its documents dropped, doubled, swapped or replaced."""
    case: Case = draw(st.sampled_from(CASES))
    result = []
    for source in case.subgraphs:
        words = source.sdl.split(" ")
        for _ in range(draw(st.integers(0, 3))):
            index = draw(st.integers(0, len(words) - 1))
            change = draw(st.sampled_from(["drop", "double", "replace", "swap"]))
            if change == "drop" and len(words) > 1:
                del words[index]
            elif change == "double":
                words.insert(index, words[index])
            elif change == "replace":
                words[index] = draw(st.sampled_from(TOKENS))
            else:
                other = draw(st.integers(0, len(words) - 1))
                words[index], words[other] = words[other], words[index]
        result.append(SubgraphInput(source.name, source.url, " ".join(words)))
    return result


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_damaged_documents_are_refused_politely(sources: list[SubgraphInput]) -> None:
    """Either a supergraph and no errors, or errors and no supergraph."""
    result = compose(sources)
    assert (result.supergraph_sdl is None) == bool(result.errors)


def test_no_subgraphs_at_all() -> None:
    """Nothing in, one error out."""
    assert [error.code.value for error in compose([]).errors] == ["NO_QUERIES"]


def test_two_subgraphs_of_one_name() -> None:
    """Names tell subgraphs apart, so two of one name cannot be composed."""
    twice = [SubgraphInput("a", "http://a", "type Query { x: Int }")] * 2
    assert [error.code.value for error in compose(twice).errors] == ["INVALID_SUBGRAPH_NAME"]
