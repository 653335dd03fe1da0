"""A failpoint kills at the visit asked for, and only there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = "from db.failpoints import failpoint\nfor n in range(3):\n    print(n, flush=True); failpoint('here')"


@pytest.mark.parametrize(
    ("setting", "visits", "code"),
    [("here", "0", -signal.SIGKILL), ("here:3", "012", -signal.SIGKILL), ("elsewhere", "012", 0), ("", "012", 0)],
)
def test_the_process_dies_at_the_named_visit(setting: str, visits: str, code: int) -> None:
    """``name`` is the first visit, ``name:3`` the third; any other name is no failpoint."""
    env = {**os.environ, "DURE_FAILPOINT": setting}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (list(visits), code)
