"""The parts that a process puts together: what a subgraph is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from messaging.broker import Broker
from subgraphs.kit.changes import Changes
from subgraphs.kit.execute import GraphQLEndpoint
from subgraphs.kit.settings import CommonSettings
from subgraphs.kit.workers import Worker


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the process gives a subgraph: its own database, and the channels to the others."""

    common: CommonSettings
    database: Database
    broker: Broker
    changes: Changes
    now: Callable[[], datetime] = field(default=utc_now)


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: which, and the rows that show it."""

    invariant: str
    detail: str


Audit = Callable[[AsyncConnection], Awaitable[list[Violation]]]


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A built subgraph: its in-process door, its HTTP door, its background loops."""

    name: str
    endpoint: GraphQLEndpoint[Any]
    app: FastAPI
    workers: Sequence[Worker]
    audit: Audit
