"""The explorer's packages and its built page, brought by npm when they are missing or older than their sources."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.process import Unavailable

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "clients/explorer/dist/index.html"
LOCK = Path(tempfile.gettempdir()) / "dure-test-explorer.lock"


def build() -> Path:
    """The folder of the built page; ``node_modules`` is beside it. Raises Unavailable where npm cannot bring it."""
    for command in ("node", "npm", "make"):
        if shutil.which(command) is None:
            raise Unavailable(f"{command} is not installed")
    # Two test runs at once must not install into the same folder.
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = str(PAGE.relative_to(ROOT))
        done = subprocess.run(
            ["make", "--silent", target], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
    if done.returncode:
        raise Unavailable(f"the explorer could not be built: {(done.stderr or done.stdout)[-1000:]}")
    return PAGE.parent
