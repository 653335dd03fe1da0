"""The cheapest combination of one option for each of several needs: best-first search with a bound."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count

from router.planner.query_tree import FREE, Cost

EXPANSIONS = 2_000
"""States looked at before the best combination known so far is good enough."""


def choose(needs: Sequence[Sequence[Cost]]) -> list[int]:
    """Indices, one into each need's options, whose costs together weigh least.

    Costs only grow as options are added, so a state that weighs as much as a known combination is given up.
    """
    kept = [_undominated(options) for options in needs]
    if all(len(options) == 1 for options in kept):
        return [options[0] for options in kept]
    order = sorted(range(len(needs)), key=lambda need: len(kept[need]))
    best, bound = _greedy(needs, kept, order)
    tie = count()
    queue: list[tuple[tuple[int, int, int], int, Cost, tuple[int, ...]]] = [(FREE.weight, next(tie), FREE, ())]
    for _ in range(EXPANSIONS):
        if not queue or queue[0][0] >= bound.weight:
            break
        _, _, cost, chosen = heapq.heappop(queue)
        if len(chosen) == len(order):
            best, bound = dict(zip(order, chosen, strict=True)), cost
            break
        need = order[len(chosen)]
        for option in kept[need]:
            total = cost | needs[need][option]
            if total.weight < bound.weight:
                heapq.heappush(queue, (total.weight, next(tie), total, (*chosen, option)))
    return [best[need] for need in range(len(needs))]


def _greedy(needs: Sequence[Sequence[Cost]], kept: list[list[int]], order: list[int]) -> tuple[dict[int, int], Cost]:
    """A first combination: each need takes what adds least to what is there."""
    total, best = FREE, {}
    for need in order:
        best[need] = min(kept[need], key=lambda option: (total | needs[need][option]).weight)
        total |= needs[need][best[need]]
    return best, total


def _undominated(options: Sequence[Cost]) -> list[int]:
    """The options that no other one beats in every combination; of equal ones the first."""
    if len(options) == 1:
        return [0]
    kept: list[int] = []
    for index in sorted(range(len(options)), key=lambda i: (options[i].weight, i)):
        if not any(options[index].covers(options[other]) for other in kept):
            kept.append(index)
    return kept
