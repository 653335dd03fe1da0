"""The parts of ``docs/`` (and ``schema/events/``) that code says: diagrams of tables, events, settings, failpoints."""

from __future__ import annotations

from pathlib import Path

from dure.docs import erd, events, failpoints, settings
from dure.settings import ROOT

WHOLLY_GENERATED = (Path("docs/erd"), Path("schema/events"))
"""Folders in which every file is generated: one that no code stands behind any more has drifted too."""


def files() -> dict[Path, str]:
    """What must be there, by path from the root of the repository."""
    return {
        **erd.files(),
        **events.files(),
        Path("docs/settings.md"): settings.page(),
        Path("docs/failpoints.md"): failpoints.page(),
    }


def drift(root: Path = ROOT) -> list[Path]:
    """The files that are not what the code says, or that nothing says any more."""
    wanted = files()
    stale = [path for path, text in wanted.items() if _read(root / path) != text]
    found = [path.relative_to(root) for folder in WHOLLY_GENERATED for path in sorted((root / folder).glob("*"))]
    return stale + [path for path in found if path not in wanted]


def write(root: Path = ROOT) -> list[Path]:
    """Write what has drifted and delete what nothing says any more; the files concerned."""
    wanted = files()
    stale = drift(root)
    for path in stale:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path], encoding="utf-8")
        else:
            (root / path).unlink()
    return stale


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
