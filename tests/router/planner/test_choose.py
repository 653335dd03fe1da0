"""The combination of options is the cheapest there is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from router.planner.choose import choose
from router.planner.query_tree import FREE, Cost, one_fetch

pairs = st.frozensets(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=3)
costs = st.builds(lambda fetches, lost: total_of(fetches, lost), pairs, st.integers(0, 1))
needs = st.lists(st.lists(costs, min_size=1, max_size=4), max_size=5)


def total_of(fetches: Iterable[tuple[int, int]], lost: int) -> Cost:
    cost = Cost(lost=lost)
    for number, subgraph in fetches:
        cost |= one_fetch(number, subgraph)
    return cost


def total(options: list[list[Cost]], chosen: tuple[int, ...] | list[int]) -> Cost:
    cost = FREE
    for found, index in zip(options, chosen, strict=True):
        cost |= found[index]
    return cost


@given(needs)
def test_no_other_combination_weighs_less(options: list[list[Cost]]) -> None:
    """Best-first search finds what trying every combination finds."""
    best = min(total(options, every).weight for every in product(*(range(len(found)) for found in options)))
    assert total(options, choose(options)).weight == best


def test_many_needs_with_many_options_are_chosen_quickly() -> None:
    """The number of combinations (7 to the power of 200) does not matter."""
    options = [[one_fetch(1, (need + option) % 7) for option in range(7)] for need in range(200)]
    assert total(options, choose(options)).weight == (0, 1, 1)
