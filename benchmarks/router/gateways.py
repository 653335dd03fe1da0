"""The gateways that are measured, as processes pinned to one core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GATEWAY_CORE, OTHER_CORE = 0, 1
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Gateway:
    """A command that serves the supergraph file named in SUPERGRAPH at the port in PORT."""

    name: str
    command: tuple[str, ...]


def gateways(peers: Path | None, supergraph: Path, port: int) -> list[Gateway]:
    """This router, and those peers that are installed in ``peers``."""
    own = (sys.executable, "-m", "router", "serve", "--supergraph", str(supergraph), "--port", str(port))
    found = [Gateway("this router", own)]
    for name, package, script in (
        ("Apollo Gateway", "@apollo/gateway", "apollo.mjs"),
        ("Hive Gateway", "@graphql-hive/gateway", "hive.mjs"),
    ):
        if peers is not None and (peers / "node_modules" / package).exists():
            # Node resolves packages from where the script lies.
            script_path = peers / script
            if not script_path.exists():
                script_path.write_text((HERE / "peers" / script).read_text(encoding="utf-8"), encoding="utf-8")
            found.append(Gateway(name, ("node", str(script_path))))
    return found


UNLIMITED = {
    "NODE_ENV": "production",
    "ROUTER_RATE_LIMITS__ENABLED": "false",
    "ROUTER_COST__ENABLED": "false",
    "ROUTER_RESILIENCE__BUSY": "2",
    "ROUTER_RESILIENCE__LAG": "10",
}
"""One client asks all, faster than any that is served."""


@contextmanager
def pinned(command: tuple[str, ...], core: int, **environment: str) -> Iterator[int]:
    """Run a command on one core; its process id."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        env={**os.environ, **UNLIMITED, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, seconds: float = 30) -> bytes:
    """The answer of a server that is starting; any HTTP status means that it is up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                found: bytes = response.read()
                return found
        except urllib.error.HTTPError:
            return b""
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing answers at {url}") from None
            time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(pid: int) -> float:
    """Resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("the process has no VmRSS")
