"""JSON text of values that may have come from a subgraph in this process, unchecked."""

from __future__ import annotations

import json
from typing import Any

import orjson


def write_json(value: Any) -> bytes:
    """JSON bytes. What orjson refuses (integers over 64 bits, lone surrogates, depth) goes to the slower writer."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=str).encode()
