"""What stops a command: one clear line, exit code 1."""

from __future__ import annotations


class StartError(Exception):
    """The command cannot go on; its text says why and what to do next."""
