"""Deferred parts of an answer: run once what they need is there, sent as payloads that follow the first.

The payloads have the ``incremental`` list with ``path`` and ``label`` that clients ask for as
``deferSpec=20220824``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from router.executor.completion import Error
from router.executor.merge import copied, merge_object
from router.executor.paths import View, in_shape, response_path, walk_located
from router.executor.projection import Project, compile_projection
from router.executor.run import Run, Step
from router.query_plan.nodes import DeferredNode, Key

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CompiledDeferred:
    """One deferred part. ``parent`` is the index of the part it stands in, if any: that one is sent before."""

    node: DeferredNode
    step: Step
    project: Project
    depends: tuple[int, ...]
    parent: int | None

    @property
    def view(self) -> View:
        """Where its shape begins."""
        return tuple(segment.name for segment in self.node.path if isinstance(segment, Key)), self.node.shape


def compile_deferred(node: DeferredNode, step: Step, fetches: frozenset[int], parent: int | None) -> CompiledDeferred:
    """``fetches`` are the ids of all the plan's fetches: only they can be waited for."""
    depends = tuple(fetch for fetch in node.depends if fetch in fetches)
    return CompiledDeferred(node, step, compile_projection(node.shape), depends, parent)


class DeferredParts:
    """The deferred parts of one execution. They begin at once, each waits for what it depends on."""

    def __init__(self, parts: list[CompiledDeferred], run: Run, deadline: float | None) -> None:
        run.done = {fetch: asyncio.Event() for part in parts for fetch in part.depends}
        self._parts = parts
        self._runs = [run.aside(deadline) for _ in parts]
        self._tasks = [asyncio.create_task(_run_part(*pair)) for pair in zip(parts, self._runs, strict=True)]

    async def payloads(self, answer: dict[str, Any], late: list[Error]) -> AsyncIterator[Payload]:
        """The payloads as they come, the last with ``hasNext`` false.

        ``answer`` is what the client has been given so far: only to objects in it can anything be added. ``late`` are
        errors of deferred fields that the first part's fetches have met.
        """
        unsent = set(range(len(self._parts)))
        running = set(self._tasks)
        while unsent:
            if running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            made: list[Payload] = []
            for index in sorted(unsent):
                if self._tasks[index].done() and self._parts[index].parent not in unsent:
                    unsent.remove(index)
                    made += _increments(self._parts[index], self._runs[index], answer, late)
            if made:
                yield {"incremental": made, "hasNext": bool(unsent)}
            elif not unsent:
                yield {"hasNext": False}

    async def close(self) -> None:
        """Stop what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _run_part(part: CompiledDeferred, run: Run) -> None:
    for fetch in part.depends:
        await run.done[fetch].wait()
    await part.step(run)


def _increments(part: CompiledDeferred, run: Run, answer: dict[str, Any], late: list[Error]) -> list[Payload]:
    """One payload for each place of the part that the client has. Errors go with the place they are about."""
    made: list[Payload] = []
    errors = [*late, *run.errors]
    for found, at in walk_located(run.data, part.node.path):
        path = response_path(run.views, run.data, at)
        place = _object_at(answer, path)
        if place is None:
            continue
        own = [_moved(error, error["path"][len(path) :]) for error in errors if _is_about(error, path, part)]
        errors = [error for error in errors if not _is_about(error, path, part)]
        data = part.project(found, own)
        payload: Payload = {"data": data, "path": path}
        if part.node.label is not None:
            payload["label"] = part.node.label
        if own:
            payload["errors"] = [_moved(error, [*path, *error.get("path", ())]) for error in own]
        if data is not None:
            merge_object(place, copied(data))
        made.append(payload)
    # What cannot be placed, a failed fetch for a whole list for example, goes with the first.
    rest = [error for error in errors if error not in late]
    if made and rest:
        made[0].setdefault("errors", []).extend(rest)
    late[:] = [error for error in errors if error in late]
    return made


def _object_at(answer: Any, path: list[str | int]) -> dict[str, Any] | None:
    """The client's object at a path; None where a null stands above it."""
    for step in path:
        if answer is None:
            return None
        answer = answer[step]
    return answer if isinstance(answer, dict) else None


def _is_about(error: Error, path: list[str | int], part: CompiledDeferred) -> bool:
    known = error.get("path", [])
    return known[: len(path)] == path and len(known) > len(path) and in_shape(part.node.shape, known[len(path) :])


def _moved(error: Error, path: list[str | int]) -> Error:
    return {**error, "path": path}
