"""``python -m router serve`` in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.process import Process, accepts, folder, free_port, remove

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(supergraph: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve a supergraph on a free port; gives the address, without a path."""
    port = free_port()
    logs = folder(None)
    arguments = ["--supergraph", str(supergraph), "--port", str(port), *options]
    router = Process(
        [sys.executable, "-m", "router", "serve", *arguments],
        user=None,
        log=logs / "router.log",
        ready=lambda: accepts(port),
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )
    router.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        router.stop()
        remove(logs)
