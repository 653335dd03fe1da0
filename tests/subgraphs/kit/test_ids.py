"""Identifiers and cursors: what clients hold, and what they cannot make themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kit.errors import Rejected
from subgraphs.kit.ids import global_id, is_fresh, is_ulid, local_id, minted_at, new_ulid, parse_id
from subgraphs.kit.pagination import Cursors, InvalidPage, page_size

CURSORS = Cursors("secret")
values = st.lists(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), max_size=4)


def test_an_id_comes_back_as_it_went() -> None:
    ulid = new_ulid()
    assert local_id("Order", global_id("Order", ulid)) == ulid
    assert is_ulid(ulid)
    assert abs(minted_at(ulid) - datetime.now(UTC)) < timedelta(seconds=5)


@given(st.text(max_size=200))
def test_what_is_no_id_names_nothing(given_id: str) -> None:
    found = parse_id(given_id)
    assert found is None or is_ulid(found[1])


@pytest.mark.parametrize("given_id", ["", "x", "Order:" + "0" * 26, global_id("Order", "8" + "0" * 25), "A" * 129])
def test_an_id_of_another_kind_is_not_found(given_id: str) -> None:
    with pytest.raises(Rejected) as refused:
        local_id("Order", given_id, field=["id"])
    assert (refused.value.code, refused.value.field) == ("NOT_FOUND", ["id"])
    with pytest.raises(Rejected):
        local_id("Order", global_id("User", new_ulid()))


def test_freshness_ends_and_a_forged_year_is_not_fresh() -> None:
    now = datetime.now(UTC)
    assert is_fresh(new_ulid(), now)
    assert not is_fresh(new_ulid(), now + timedelta(minutes=1))
    assert not is_fresh("7" + "Z" * 25, now)


@given(values)
def test_a_cursor_comes_back_as_it_went_and_only_to_its_own_list(given_values: list[object]) -> None:
    cursor = CURSORS.encode("list", given_values)
    assert CURSORS.decode("list", cursor) == given_values
    with pytest.raises(InvalidPage):
        CURSORS.decode("another", cursor)
    with pytest.raises(InvalidPage):
        Cursors("other secret").decode("list", cursor)


@given(st.text(max_size=60))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidPage):
        CURSORS.decode("list", text)


def test_page_sizes() -> None:
    assert (page_size(None), page_size(0), page_size(100)) == (20, 0, 100)
    for wrong in (-1, 101):
        with pytest.raises(InvalidPage):
            page_size(wrong)


def test_a_page_knows_its_neighbours() -> None:
    page = CURSORS.page("list", [1, 2, 3], 2, None, lambda row: [row])
    assert (list(page.rows), page.has_next, page.has_previous) == ([1, 2], True, False)
    last = CURSORS.page("list", [3], 2, page.info.end_cursor, lambda row: [row])
    assert (last.has_next, last.has_previous) == (False, True)
    empty = CURSORS.page("list", list[int](), 2, None, lambda row: [row])
    assert (empty.info.start_cursor, empty.info.end_cursor) == (None, None)
