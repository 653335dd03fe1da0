"""What the use cases work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from db.session import Database
from subgraphs.kit.changes import Changes
from subgraphs.users.keys import SigningKeys
from subgraphs.users.passwords import PasswordPool
from subgraphs.users.settings import Settings
from subgraphs.users.social import Provider

SOURCE = "/dure/users"


@dataclass(frozen=True, slots=True)
class Deps:
    """``wake`` tells the relay and the mailer, after a commit, that there is something to send."""

    database: Database
    settings: Settings
    passwords: PasswordPool
    keys: SigningKeys
    changes: Changes
    now: Callable[[], datetime]
    wake: Callable[[], None]
    social: Mapping[str, Provider] = field(default_factory=dict)
    texts: bool = False
    """Whether there is somebody who sends text messages."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a request comes from, as far as the router knows."""

    ip: str | None = None
    name: str | None = None
