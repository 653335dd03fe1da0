"""The nearest word: by letters and by jamo, never for short words, never far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.products.spelling import Vocabulary

WORDS = ["vitamin", "vitamin", "vitamine", "zinc", "magnesium", "비타민", "아연", "종합비타민", "오메가"]
BY_LETTERS = st.text(alphabet="abcdefgh", min_size=5, max_size=12)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vitamin", "vitamin"),
        ("vitamni", "vitamin"),
        ("vitami", "vitamin"),
        ("zink", "zinc"),
        ("zin", None),
        ("magnezuim", "magnesium"),
        ("magnzuim", None),
        ("비티민", "비타민"),
        ("바타민", "비타민"),
        ("바티민", None),
        ("아언", "아연"),
        ("종합비티믄", "종합비타민"),
        ("", None),
    ],
)
def test_nearest(typed: str, meant: str | None) -> None:
    """One edit from four letters or jamo, two from eight; of the equally near the most frequent."""
    assert Vocabulary(WORDS).nearest(typed) == meant


@given(BY_LETTERS, st.data())
def test_any_one_edit_of_an_only_word_is_understood(word: str, data: st.DataObject) -> None:
    """A letter dropped, doubled, changed, or swapped with its neighbour."""
    at = data.draw(st.integers(0, len(word) - 2))
    edits = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + "z" + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ]
    assert Vocabulary([word]).nearest(data.draw(st.sampled_from(edits))) == word


@given(BY_LETTERS)
def test_what_is_far_is_not_taken_for_it(word: str) -> None:
    assert Vocabulary([word]).nearest("zzz" + word) is None
