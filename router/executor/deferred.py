"""Deferred parts of an answer: run once what they need is there, sent as payloads that follow the first.

The payloads have the ``incremental`` list with ``path`` and ``label`` that clients ask for as
``deferSpec=20220824``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from router.executor.paths import response_path, walk_located
from router.executor.projection import Project, compile_projection
from router.executor.run import Run, Step
from router.query_plan.nodes import DeferredNode

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CompiledDeferred:
    """One deferred part. ``parent`` is the index of the part it stands in, if any: that one is sent before."""

    node: DeferredNode
    step: Step
    project: Project
    depends: tuple[int, ...]
    parent: int | None


def compile_deferred(node: DeferredNode, step: Step, fetches: frozenset[int], parent: int | None) -> CompiledDeferred:
    """``fetches`` are the ids of all the plan's fetches: only they can be waited for."""
    depends = tuple(fetch for fetch in node.depends if fetch in fetches)
    return CompiledDeferred(node, step, compile_projection(node.shape), depends, parent)


def start_deferred(parts: list[CompiledDeferred], run: Run, tasks: asyncio.TaskGroup) -> AsyncIterator[Payload]:
    """Start all parts; the iterator gives their payloads as they come, the last with ``hasNext`` false."""
    ready: asyncio.Queue[list[Payload]] = asyncio.Queue()
    sent = [asyncio.Event() for _ in parts]
    for index, part in enumerate(parts):
        tasks.create_task(_run_part(part, index, run.aside(), sent, ready))

    async def payloads() -> AsyncIterator[Payload]:
        for left in range(len(parts) - 1, -1, -1):
            yield {"incremental": await ready.get(), "hasNext": left > 0}

    return payloads()


async def _run_part(
    part: CompiledDeferred, index: int, run: Run, sent: list[asyncio.Event], ready: asyncio.Queue[list[Payload]]
) -> None:
    for fetch in part.depends:
        await run.done[fetch].wait()
    await part.step(run)
    if part.parent is not None:
        await sent[part.parent].wait()
    ready.put_nowait(_increments(part, run))
    sent[index].set()


def _increments(part: CompiledDeferred, run: Run) -> list[Payload]:
    made: list[Payload] = []
    for found, at in walk_located(run.data, part.node.path):
        path = response_path(run.shape, run.data, at)
        own: list[dict[str, Any]] = []
        payload: Payload = {"data": part.project(found, own), "path": path}
        if part.node.label is not None:
            payload["label"] = part.node.label
        errors = [{**error, "path": [*path, *error.get("path", ())]} for error in own]
        if not made:
            errors = [*run.errors, *errors]
        if errors:
            payload["errors"] = errors
        made.append(payload)
    return made
