"""What a person sees while something long goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is being done, and at the end how long it took (nothing if it was quick)."""
    began = time.monotonic()
    with console.status(title):
        yield
    took = time.monotonic() - began
    if took > 0.3:
        console.print(f"  [green]✓[/green] {title} [dim]{took:.1f} s[/dim]")
