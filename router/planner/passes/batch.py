"""The entity fetches of one subgraph in one round become one request.

A fetch may also wait for a later round of its subgraph, where that saves a request.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.planner.fetch_graph import FetchGraph, FetchGroup

Schedule = Mapping[FetchGroup, int]
Pair = tuple[str, int | None, int]
"""A subgraph, the deferred part of the answer, and the round."""


def batch(fetches: FetchGraph) -> None:
    """Give every entity fetch its round and join those that share subgraph and round."""
    schedule = _best_schedule(fetches)
    together: dict[Pair, FetchGroup] = {}
    for group in sorted(fetches.groups, key=lambda g: (schedule[g], g.id)):
        if group.alone:
            continue
        first = together.setdefault((group.subgraph, group.scope, schedule[group]), group)
        if first is not group:
            first.entities.extend(group.entities)
            fetches.replace(group, first)


def _best_schedule(fetches: FetchGraph) -> Schedule:
    """Earliest rounds, improved by delaying all of a subgraph's fetches of one round to a later one."""
    floors: dict[FetchGroup, int] = {}
    schedule = _schedule(fetches, floors)
    improved = True
    while improved:
        improved = False
        for early, late in _delays(schedule):
            delayed = [group for group, number in schedule.items() if _pair(group, number) == early]
            trial_floors = floors | dict.fromkeys(delayed, late)
            trial = _schedule(fetches, trial_floors)
            if _weight(trial) < _weight(schedule):
                floors, schedule, improved = trial_floors, trial, True
                break
    return schedule


def _schedule(fetches: FetchGraph, floors: Mapping[FetchGroup, int]) -> dict[FetchGroup, int]:
    """The earliest rounds, none before its floor."""
    found: dict[FetchGroup, int] = {}

    def number(group: FetchGroup) -> int:
        if group not in found:
            after = 1 + max((number(parent) for parent in group.parents), default=-1)
            found[group] = max(after, floors.get(group, 0))
        return found[group]

    for group in fetches.groups:
        number(group)
    return found


def _pair(group: FetchGroup, number: int) -> Pair | None:
    return (group.subgraph, group.scope, number) if not group.alone else None


def _delays(schedule: Schedule) -> list[tuple[Pair, int]]:
    """Every subgraph's round with a later round in which it has entity fetches too."""
    pairs = sorted({pair for group, number in schedule.items() if (pair := _pair(group, number))}, key=str)
    return [(early, late[2]) for early in pairs for late in pairs if early[:2] == late[:2] and early[2] < late[2]]


def _weight(schedule: Schedule) -> tuple[int, int]:
    """Requests, then rounds."""
    requests = {_pair(group, number) or group.id for group, number in schedule.items()}
    return len(requests), max(schedule.values(), default=0)
