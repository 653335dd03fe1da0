"""Server-sent events, read from and written to byte streams (HTML standard, 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; its data lines are joined by line feeds."""

    name: str
    data: str


class EventTooLarge(Exception):
    """An event passed the size that the reader was willing to hold."""


async def read_events(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[Event, None]:
    """Events as they arrive, however the bytes are cut. An event without its closing blank line is dropped.

    Raises EventTooLarge.
    """
    pending = b""
    name, data, size = "message", list[str](), 0
    async for chunk in chunks:
        lines = _lines(pending + chunk)
        pending = lines.pop()
        for line in lines:
            size += len(line)
            if not line:
                if data:
                    yield Event(name, "\n".join(data))
                elif name != "message":
                    yield Event(name, "")
                name, data, size = "message", [], 0
                continue
            key, _, value = line.decode("utf-8", "replace").partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
        if size + len(pending) > max_bytes:
            raise EventTooLarge


def _lines(data: bytes) -> list[bytes]:
    """Split at CR LF, LF or CR; a CR at the very end waits for what follows it."""
    held = b"\r" if data.endswith(b"\r") else b""
    lines = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines[-1] += held
    return lines


def write_event(name: str, data: bytes) -> bytes:
    """One event. ``data`` must be on one line, as compact JSON is."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
