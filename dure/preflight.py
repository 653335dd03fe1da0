"""What can be known to fail before anything is started."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from dure.errors import StartError


def check(host: str, port: int, data_dir: Path) -> None:
    """Raises StartError for a folder that cannot be written or a port that is taken."""
    check_folder(data_dir)
    check_port(host, port)


def set_addresses(host: str, base: str) -> None:
    """Links in e-mails and addresses of pictures lead here, unless they are set to the name that people use."""
    if host in ("0.0.0.0", "::"):
        return
    os.environ.setdefault("DURE_USERS_PUBLIC_URL", base)
    os.environ.setdefault("DURE_PRODUCTS_MEDIA_URL", f"{base}/media")


def check_folder(data_dir: Path) -> None:
    """Raises StartError when files cannot be made in ``data_dir``."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        probe = data_dir / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"cannot write to {data_dir}: {error.strerror}; set DURE_DATA_DIR to a folder you own"
        ) from None


def check_port(host: str, port: int) -> None:
    """Raises StartError when somebody listens on the port already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"cannot listen on {host}:{port}: {error.strerror}; set DURE_PORT to a free port"
            ) from None
