"""The throw-away servers work, and nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.conftest import serve
from tests.support import servers
from tests.support.process import Process, Unavailable, accepts
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
HOLD = (
    "from tests.support import servers\nwith servers.redis_restartable() as s:\n    print(s.url, flush=True); input()"
)


def test_a_given_url_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a server named in the environment none is started."""
    monkeypatch.setenv("DURE_TEST_REDIS_URL", "redis://elsewhere:1/0")
    with servers.redis() as url:
        assert url == "redis://elsewhere:1/0"


@pytest.mark.integration
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_server_does_not_outlive_its_owner(end: signal.Signals, tmp_path: Path) -> None:
    """Whatever ends the process that started it, Ctrl-C or a kill, ends the server."""
    next(serve(servers.redis_restartable())).process.stop()  # skips where there is no Redis
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with owner:
        assert owner.stdout is not None
        port = make_url(owner.stdout.readline().decode().strip()).port
        assert port is not None
        assert accepts(port)
        os.kill(owner.pid, end)
        owner.wait(20)
    asyncio.run(eventually(lambda: not accepts(port)))


def test_what_does_not_start_says_why(tmp_path: Path) -> None:
    """A server that ends at once is reported with the end of its log."""
    failing = Process(["sh", "-c", "echo no such luck; exit 3"], user=None, log=tmp_path / "log", ready=lambda: False)
    with pytest.raises(Unavailable, match="no such luck"):
        failing.start()


def test_required_services_fail_instead_of_skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    """``REQUIRE_SERVICES=1`` is for machines where a missing server must not go unnoticed."""

    class Missing:
        def __enter__(self) -> str:
            raise Unavailable("not here")

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not here"):
        next(serve(Missing()))
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="not here"):
        next(serve(Missing()))
