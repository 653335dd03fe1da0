"""Processor time and memory of everything that this process has started, by what it is, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SERVERS = {"postgres": "postgres", "beam.smp": "rabbitmq", "redis-server": "redis"}


def cpu_by_part() -> dict[str, float]:
    """Seconds of processor time since each part began, its ended children included."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for pid, fields in _descendants().items():
        # utime, stime, cutime, cstime: children that have ended count, the others stand for themselves.
        seconds[_part(pid)] += sum(map(int, fields[11:15])) / TICK
    own = os.times()
    seconds["load generator"] = own.user + own.system
    return dict(seconds)


def pids_of(part: str) -> list[int]:
    """The living processes of a part, such as ``api products``."""
    return [pid for pid in _descendants() if _part(pid) == part]


def memory_by_part() -> dict[str, float]:
    """Proportional resident memory in MiB."""
    mib: defaultdict[str, float] = defaultdict(float)
    for pid in _descendants():
        mib[_part(pid)] += _pss_mib(pid)
    return dict(mib)


def _descendants() -> dict[int, list[str]]:
    """Of every living descendant of this process: /proc/PID/stat after the name."""
    stats: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue  # it has ended in between
    ours = {os.getpid()}
    while found := {pid for pid, fields in stats.items() if int(fields[1]) in ours} - ours:
        ours |= found
    return {pid: stats[pid] for pid in ours - {os.getpid()} if pid in stats}


def _part(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "other"
    if "dure" in words:
        arguments = words[words.index("dure") + 1 :]
        return " ".join(word for word in arguments if word and word != "part")
    return SERVERS.get(name, "other")


def _pss_mib(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0
