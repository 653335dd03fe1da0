"""Turns the domain's refusals of input into what the API tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from subgraphs.kit.errors import Rejected, RejectedTogether
from subgraphs.users.domain import Invalid

T = TypeVar("T")


class Checks:
    """Collects everything that is wrong with an input, so that a form can show it at once."""

    def __init__(self) -> None:
        self._reasons: list[Rejected] = []

    def value(self, clean: Callable[[], T], field: Sequence[str], default: T, code: str = "INVALID") -> T:
        """What ``clean`` makes of the input, or ``default`` with the refusal noted."""
        try:
            return clean()
        except Invalid as invalid:
            self.refuse(code, str(invalid), field)
            return default

    def refuse(self, code: str, message: str, field: Sequence[str]) -> None:
        self._reasons.append(Rejected(code, message, field))

    def done(self) -> None:
        """Raises RejectedTogether if anything was refused."""
        if self._reasons:
            raise RejectedTogether(self._reasons)
