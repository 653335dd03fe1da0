"""Sealed values: opened by the keys that made them, in the place they were made for, and by nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import vault
from db.vault import BadKeys, KeyRing, Unreadable, is_sealed, new_key

INDEX = "index-key-of-these-tests-0123456789"
ONE, TWO = f"k1:{new_key()}", f"k2:{new_key()}"


def ring(*keys: str, index: str = INDEX) -> KeyRing:
    return KeyRing.parse(",".join(keys), index)


@given(st.text(), st.text(min_size=1, max_size=20))
def test_what_is_sealed_opens_again_and_shows_nothing(text: str, place: str) -> None:
    sealed = ring(ONE).seal(text, place)
    assert ring(TWO, ONE).open(sealed, place) == text
    assert sealed.isascii()
    assert is_sealed(sealed)
    assert len(text) < 4 or text not in sealed


def test_two_seals_of_one_text_differ() -> None:
    assert ring(ONE).seal("same", "a") != ring(ONE).seal("same", "a")


def test_the_first_key_seals_and_a_retired_key_still_opens() -> None:
    old = ring(ONE).seal("kim@example.com", "a")
    both = ring(TWO, ONE)
    fresh = both.reseal(old, "a")
    assert (old[:3], fresh[:3]) == ("k1.", "k2.")
    assert ring(TWO).open(fresh, "a") == "kim@example.com"
    with pytest.raises(Unreadable, match="not among k2"):
        ring(TWO).open(old, "a")


@pytest.mark.parametrize("change", ["place", "letter", "key of the same name", "cut", "no seal at all"])
def test_a_changed_moved_or_foreign_value_does_not_open(change: str) -> None:
    sealed = ring(ONE).seal("kim@example.com", "users.email")
    mine, place = ring(ONE), "users.email"
    match change:
        case "place":
            place = "users.name"
        case "letter":
            at = len(sealed) // 2
            sealed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        case "key of the same name":
            mine = ring(f"k1:{new_key()}")
        case "cut":
            sealed = sealed[:12]
        case _:
            sealed = "kim@example.com"
    with pytest.raises(Unreadable) as refusal:
        mine.open(sealed, place)
    assert "kim" not in str(refusal.value)


def test_an_index_finds_equal_texts_of_one_place_under_one_secret() -> None:
    mine = ring(ONE)
    assert mine.index("a@example.com", "e") == ring(TWO).index("a@example.com", "e"), "data keys do not matter"
    others = {
        mine.index("b@example.com", "e"),
        mine.index("a@example.com", "f"),
        ring(ONE, index="x" * 32).index("a@example.com", "e"),
    }
    assert mine.index("a@example.com", "e") not in others
    assert len(mine.index("a@example.com", "e")) == vault.INDEX_LENGTH


@pytest.mark.parametrize(
    ("keys", "index", "reason"),
    [
        ("", INDEX, "name:key"),
        ("k1:c2hvcnQ=", INDEX, "not 32"),
        ("k1:é", INDEX, "not base64"),
        (f"K-1:{new_key()}", INDEX, "lower-case"),
        (f"{ONE},{ONE}", INDEX, "each name once"),
        (ONE, "short", "index key"),
    ],
    ids=["none", "short", "no base64", "upper case", "twice", "index"],
)
def test_keys_that_cannot_be_used_are_refused_without_being_shown(keys: str, index: str, reason: str) -> None:
    with pytest.raises(BadKeys, match=reason) as refusal:
        KeyRing.parse(keys, index)
    assert ONE.partition(":")[2] not in str(refusal.value)


def test_a_process_without_keys_says_which_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURE_DATA_KEYS")
    monkeypatch.delenv("DURE_INDEX_KEY")
    vault.ring.cache_clear()
    try:
        with pytest.raises(BadKeys, match="DURE_DATA_KEYS, DURE_INDEX_KEY"):
            vault.ring()
    finally:
        vault.ring.cache_clear()
