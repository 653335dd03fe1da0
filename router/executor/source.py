"""A small writer of Python source: what a plan repeats for every request is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Source:
    """Lines of one module. Text from plans enters only through ``repr`` or as a bound constant, never as code."""

    def __init__(self, **names: Any) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._names: dict[str, Any] = names
        self._count = 0

    def line(self, text: str) -> None:
        """One line at the present indentation."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A compound statement: the lines written inside are its body."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def fresh(self, prefix: str) -> str:
        """A name not used before."""
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: Any) -> str:
        """A name for a value that has no literal."""
        name = self.fresh("k")
        self._names[name] = value
        return name

    def function(self, name: str) -> Callable[..., Any]:
        """Compile what was written and give one of its functions."""
        scope = dict(self._names)
        exec(compile("\n".join(self._lines), "<plan>", "exec"), scope)  # noqa: S102
        made: Callable[..., Any] = scope[name]
        return made
