"""Named places where a test kills the process, to prove that a crash between two steps loses and repeats nothing.

``DURE_FAILPOINT=relay.after_publish`` kills at the first visit, ``DURE_FAILPOINT=relay.after_publish:3`` at the third.
"""

from __future__ import annotations

import os
import signal

_wanted, _, _nth = os.environ.get("DURE_FAILPOINT", "").partition(":")
_visits_left = int(_nth or 1)


def failpoint(name: str) -> None:
    """Kill this process (SIGKILL: no clean-up runs) if the environment asked for it here; else do nothing."""
    global _visits_left
    if name != _wanted:
        return
    _visits_left -= 1
    if _visits_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
