"""The ways in which the shop is run for the benchmark, each with servers and a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support import servers
from tests.support.process import free_port

MODES = ("one-process-sqlite", "one-process-services", "split-services", "split-services-2")
"""The last with two processes of each subgraph's workers: what it costs that they share queues and tables."""
BUYING = ("users", "products", "orders", "payments", "delivery")
START_SECONDS = 120


@dataclass(frozen=True)
class Shop:
    """A shop that runs: its folder, its settings, where its databases are."""

    folder: Path
    environment: Mapping[str, str]
    database_url: str
    split: bool
    workers: int = 1

    @property
    def port(self) -> int:
        return int(self.environment["DURE_PORT"])

    def database_of(self, subgraph: str) -> str:
        return self.database_url.format(subgraph=subgraph, data_dir=self.folder)

    def python(self, *arguments: str) -> str:
        """Run a Python module with the shop's settings; what it printed. Raises RuntimeError when it fails."""
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, env=dict(self.environment), capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done.stdout

    def audit(self) -> str:
        """What ``dure audit`` finds in the stopped shop. Without a broker's URL it reads the provider's own books."""
        kept = {name: value for name, value in self.environment.items() if name != "DURE_BROKER_URL"}
        return replace(self, environment=kept).python("dure", "audit").strip()

    @contextmanager
    def open(self) -> Iterator[None]:
        """``dure up`` while the block runs. Raises RuntimeError with its log when it does not open."""
        log = self.folder / "shop.log"
        with log.open("wb") as output:
            up = [sys.executable, "-m", "dure", "up", *(["--split"] if self.split else [])]
            child = subprocess.Popen(up, env=dict(self.environment), stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + START_SECONDS
            while b"dure is open" not in log.read_bytes():
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the shop did not open:\n{log.read_text()[-3000:]}")
                time.sleep(0.1)
            with self._more_workers():
                yield
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    @contextmanager
    def _more_workers(self) -> Iterator[None]:
        """Workers besides those that ``dure up --split`` has started."""
        if self.workers == 1:
            yield
            return
        provider = f"http://127.0.0.1:{self.environment['DURE_PROVIDER_PORT']}"
        environment = {**self.environment, "DURE_INTERNAL_OFFSET": "0", "DURE_PAYMENTS_PROVIDER_URL": provider}
        children = [
            subprocess.Popen([sys.executable, "-m", "dure", "part", "workers", name], env=environment)
            for name in BUYING * (self.workers - 1)
        ]
        try:
            yield
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(30)


@contextmanager
def prepared(mode: str) -> Iterator[Shop]:
    """A shop of this mode, not yet filled. PostgreSQL keeps its fsync: what users get by default is measured."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dure-bench-")))
        url = "sqlite+aiosqlite:///{data_dir}/{subgraph}.sqlite"
        given: dict[str, str] = {}
        if mode != "one-process-sqlite":
            server = stack.enter_context(servers.postgres(durable=True))
            url = server.rsplit("/", 1)[0] + "/bench_{subgraph}"
            given = {
                "DURE_BROKER_URL": stack.enter_context(servers.rabbitmq()),
                "DURE_REDIS_URL": stack.enter_context(servers.redis()),
            }
        first = free_port(10)
        environment = {
            **os.environ,
            "DURE_DATA_DIR": str(folder),
            "DURE_DATABASE_URL": url,
            "DURE_PORT": str(first),
            "DURE_PROVIDER_PORT": str(first + 1),
            "DURE_FIRST_SUBGRAPH_PORT": str(first + 2),
            "PYTHONUNBUFFERED": "1",
            "ROUTER_RATE_LIMITS__ENABLED": "false",
            **given,
        }
        yield Shop(folder, environment, url, mode.startswith("split"), 2 if mode == "split-services-2" else 1)
