"""How long anybody waits for the present work. A door sets it; it is looked at where something would become lasting.

Late work that has changed nothing is given up as a whole. What has changed something for good goes on to its end: half
of it would help nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context


class TooLate(Exception):
    """Nobody waits any more, so it was not done; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("Nobody waits for this any more; nothing was changed.")


class Deadline:
    """When the answer comes too late, on ``time.monotonic()``'s clock. Shared by all that one request sets going."""

    __slots__ = ("_at", "_lasting")

    def __init__(self, at: float) -> None:
        self._at = at
        self._lasting = False

    @property
    def over(self) -> bool:
        """Whether to give up."""
        return not self._lasting and time.monotonic() >= self._at

    def check(self) -> None:
        """Raises TooLate when it is time to give up."""
        if self.over:
            raise TooLate

    def lasting(self) -> None:
        """Something was changed for good."""
        self._lasting = True


_present: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def waited_for(until: float | None) -> Iterator[None]:
    """The caller waits until then, on ``time.monotonic()``'s clock. None: for ever."""
    token = _present.set(None if until is None else Deadline(until))
    try:
        yield
    finally:
        _present.reset(token)


def present() -> Deadline | None:
    """The deadline of the present work, if it has one."""
    return _present.get()


def check() -> None:
    """Raises TooLate when nobody waits for the present work any more, and it has changed nothing."""
    deadline = _present.get()
    if deadline is not None:
        deadline.check()


def lasting() -> None:
    """The present work has changed something for good."""
    deadline = _present.get()
    if deadline is not None:
        deadline.lasting()


def without() -> Context:
    """A context like the present one, but without its deadline: for tasks that go on for others."""
    context = copy_context()
    context.run(_present.set, None)
    return context
