"""Throw-away servers on free ports: ``with servers.postgres() as url: ...``. Nothing of them is left afterwards.

``DURE_TEST_POSTGRES_URL`` and its like name servers to use instead. Raises Unavailable where a server is not to be had.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import Process, Unavailable, accepts, account, folder, free_port, remove, run

POSTGRES_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "max_worker_processes": "4",
}


@dataclass(frozen=True)
class Postgres:
    """A primary and its streaming replica. URLs name the database ``postgres``."""

    url: str
    replica_url: str


@dataclass(frozen=True)
class Restartable:
    """A server that a test may stop, and start again with its data."""

    url: str
    process: Process


def given(name: str) -> str | None:
    """The URL in ``DURE_TEST_<name>_URL``, if any."""
    return os.environ.get(f"DURE_TEST_{name}_URL") or None


def find(binary: str, package: str) -> str:
    """The path of ``binary``; root installs its Debian ``package`` when it is missing, without starting it."""
    places = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", ""), "/usr/sbin"]
    search = os.pathsep.join(places)
    found = shutil.which(binary, path=search)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        places = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), search]
        found = shutil.which(binary, path=os.pathsep.join(places))
    if found is None:
        raise Unavailable(f"{binary} is not installed (package {package})")
    return found


def _install(package: str) -> None:
    """``RUNLEVEL=1`` keeps Debian's scripts from starting what they install."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"apt-get {command[0]} {package}: {done.stderr[-500:]}")


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """The URL of a PostgreSQL primary. ``durable``: with fsync, for what must outlive a power cut."""
    if url := given("POSTGRES"):
        yield url
        return
    with postgres_restartable(durable=durable) as server:
        yield server.url


@contextmanager
def postgres_restartable(*, durable: bool = False) -> Iterator[Restartable]:
    """A PostgreSQL primary of the caller's own."""
    with _postgres_primary(durable) as (server, _):
        yield server


@contextmanager
def postgres_with_replica(*, durable: bool = False) -> Iterator[Postgres]:
    """A PostgreSQL primary and a streaming replica of it."""
    url, replica = given("POSTGRES"), given("POSTGRES_REPLICA")
    if url and replica:
        yield Postgres(url, replica)
        return
    with _postgres_primary(durable) as (server, port), _postgres_replica(port) as replica:
        yield Postgres(server.url, replica)


@contextmanager
def _postgres_primary(durable: bool) -> Iterator[tuple[Restartable, int]]:
    user, initdb = account("postgres"), find("initdb", "postgresql")
    base, port = folder(user), free_port()
    run([initdb, "-D", f"{base}/data", "-U", "dure", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"], user)
    server = _postgres_process(base, port, user, {"fsync": "on" if durable else "off"})
    with _running(server, base):
        yield Restartable(f"postgresql+asyncpg://dure@127.0.0.1:{port}/postgres", server), port


@contextmanager
def _postgres_replica(primary_port: int) -> Iterator[str]:
    user, basebackup = account("postgres"), find("pg_basebackup", "postgresql")
    base, port = folder(user), free_port()
    source = ["-h", "127.0.0.1", "-p", str(primary_port), "-U", "dure"]
    run([basebackup, *source, "-D", f"{base}/data", "-R", "-X", "stream", "-c", "fast", "--no-sync"], user)
    server = _postgres_process(base, port, user, {"hot_standby": "on", "fsync": "off"})
    with _running(server, base):
        yield f"postgresql+asyncpg://dure@127.0.0.1:{port}/postgres"


def _postgres_process(base: Path, port: int, user: str | None, options: dict[str, str]) -> Process:
    settings = {**POSTGRES_OPTIONS, "port": str(port), **options}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    isready = find("pg_isready", "postgresql")
    check = [isready, "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "dure", "-d", "postgres"]
    return Process(
        [find("postgres", "postgresql"), "-D", f"{base}/data", *flags],
        user=user,
        log=base / "log",
        ready=lambda: subprocess.run(check, check=False).returncode == 0,
        stop_signal=signal.SIGINT,
    )


@contextmanager
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB server, without a database in it; its user may do everything."""
    if url := given("MARIADB"):
        yield url
        return
    user, install = account("mysql"), find("mariadb-install-db", "mariadb-server")
    base, port = folder(user), free_port()
    common = ["--no-defaults", f"--datadir={base}/data"]
    run([install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"], user)
    setup = base / "setup.sql"
    hosts = ("localhost", "127.0.0.1", "%")
    setup.write_text(
        "".join(
            f"CREATE OR REPLACE USER dure@'{h}' IDENTIFIED BY 'dure';\nGRANT ALL ON *.* TO dure@'{h}';\n" for h in hosts
        )
    )
    network = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={base}/socket", f"--pid-file={base}/pid"]
    cheap = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--max-connections=200"]
    server = Process(
        [find("mariadbd", "mariadb-server"), *common, *network, *cheap, f"--init-file={setup}"],
        user=user,
        log=base / "log",
        ready=lambda: accepts(port),
    )
    with _running(server, base):
        yield f"mysql+asyncmy://dure:dure@127.0.0.1:{port}/"


@contextmanager
def rabbitmq() -> Iterator[str]:
    """The URL of a RabbitMQ server."""
    if url := given("RABBITMQ"):
        yield url
        return
    with rabbitmq_restartable() as server:
        yield server.url


@contextmanager
def rabbitmq_restartable() -> Iterator[Restartable]:
    """A RabbitMQ server of the caller's own."""
    user, find_first = account("rabbitmq"), find("rabbitmq-server", "rabbitmq-server")
    # Debian's command changes the user by itself and writes to its log folder; the one behind it does neither.
    inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    base, port, names_port = folder(user), free_port(), free_port()
    plugins = base / "enabled_plugins"
    plugins.write_text("[].\n")
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": str(base),
        "ERL_EPMD_PORT": str(names_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RUNNING_UNDER_SYSTEMD": "1",  # the start script becomes the server, instead of waiting for it
        "RABBITMQ_NODENAME": f"dure{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": f"{base}/data",
        "RABBITMQ_LOG_BASE": f"{base}/logs",
        "RABBITMQ_PID_FILE": f"{base}/pid",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq",
        "RABBITMQ_CONF_ENV_FILE": f"{base}/no-env.conf",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
    }
    # Started here and in the foreground, else the node would start one that stays for ever.
    names = Process(
        [find("epmd", "erlang-base"), "-port", str(names_port), "-address", "127.0.0.1"],
        user=user,
        log=base / "epmd.log",
        ready=lambda: accepts(names_port),
    )
    server = Process(
        [str(inner) if inner.exists() else find_first],
        user=user,
        log=base / "log",
        ready=lambda: accepts(port),
        env=env,
    )
    with _running(names, base), _running(server, base):
        yield Restartable(f"amqp://guest:guest@127.0.0.1:{port}/", server)


@contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis server."""
    if url := given("REDIS"):
        yield url
        return
    with redis_restartable() as server:
        yield server.url


@contextmanager
def redis_restartable() -> Iterator[Restartable]:
    """A Redis server of the caller's own, which forgets all when stopped."""
    base, port = folder(None), free_port()
    command = [find("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = Process([*command, "--dir", str(base)], user=None, log=base / "log", ready=lambda: accepts(port))
    with _running(server, base):
        yield Restartable(f"redis://127.0.0.1:{port}/0", server)


@contextmanager
def _running(process: Process, base: Path) -> Iterator[None]:
    process.start()
    try:
        yield
    finally:
        process.stop()
        remove(base)
