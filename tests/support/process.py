"""Child processes that never outlive the tests, whatever ends those: the end, Ctrl-C or a kill."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_running: set[Process] = set()
_folders: set[Path] = set()


class Unavailable(Exception):
    """A server that cannot be had on this machine, and why."""


def free_port(in_a_row: int = 1) -> int:
    """A TCP port of 127.0.0.1 that nobody uses now, and with it as many more as are asked for.

    Not one of those that the system gives to outgoing connections: such a port may be taken a moment later.
    """
    for _ in range(1000):
        first = random.randrange(12_000, 32_000 - in_a_row)
        if all(_is_free(first + offset) for offset in range(in_a_row)):
            return first
    raise Unavailable("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def folder(user: str | None) -> Path:
    """A temporary folder of ``user``, removed at the end."""
    made = Path(tempfile.mkdtemp(prefix="dure-test-"))
    _folders.add(made)
    if user:
        shutil.chown(made, user, user)
    return made


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _folders.discard(path)


def account(name: str) -> str | None:
    """Whom to run a server as: ``name`` for root, who must not run it; else whoever we are."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError as error:
        raise Unavailable(f"no user {name}, and root must not run this server") from error


def as_user(command: Sequence[str], user: str | None) -> list[str]:
    """``command`` run by ``user``, and ended by the kernel should this process die without ending it."""
    prefix = ["setpriv", "--pdeathsig", "KILL"]
    if user:
        entry = pwd.getpwnam(user)
        prefix += ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]
    return [*prefix, "--", *command]


def run(command: Sequence[str], user: str | None, *, env: Mapping[str, str] | None = None) -> None:
    """Run to the end. Raises Unavailable with the output when it fails."""
    done = subprocess.run(
        as_user(command, user), env=env, cwd="/", capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")


class Process:
    """A server: started, stopped and perhaps started again."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        user: str | None,
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._command = as_user(command, user)
        self._log = log
        self._ready = ready
        self._env = env
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, *, timeout: float = 60) -> None:
        """Return when it is ready. Raises Unavailable with the end of its log when it does not become so."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                env=self._env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _running.add(self)
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self._command[-1]} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, *, timeout: float = 20) -> None:
        """Ask it to end, then end its whole process group."""
        child, self._child = self._child, None
        _running.discard(self)
        if child is None:
            return
        child.send_signal(self._stop_signal)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout)
        finally:
            _kill_group(child)

    def kill(self) -> None:
        """End it as a power cut would."""
        child, self._child = self._child, None
        _running.discard(self)
        if child is not None:
            _kill_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def accepts(port: int) -> bool:
    """Whether something listens on ``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        process.kill()
    for path in list(_folders):
        remove(path)
