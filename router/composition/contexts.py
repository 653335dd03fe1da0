"""The little language of @fromContext: ``$name { selection }``."""

from __future__ import annotations

import re

_VALUE = re.compile(r"\s*\$\s*([_A-Za-z]\w*)\s*(.*)", re.DOTALL)


def parse_context_value(text: str) -> tuple[str, str]:
    """The context's name and the selection. The name is empty if the value names no context."""
    match = _VALUE.fullmatch(text)
    return (match[1], match[2].strip()) if match else ("", text)
