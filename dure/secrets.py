"""Secrets of a developer's start: made once, kept readable by their owner only. A deployment gives its own."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet

from db import vault
from dure.errors import StartError

MAKERS: dict[str, Callable[[], str]] = {
    "DURE_CLAIMS_SECRET": lambda: secrets.token_urlsafe(32),
    "DURE_CURSOR_SECRET": lambda: secrets.token_urlsafe(32),
    "DURE_DATA_KEYS": lambda: f"k1:{vault.new_key()}",
    "DURE_DEMO_PASSWORD": lambda: secrets.token_urlsafe(12),
    "DURE_INDEX_KEY": lambda: secrets.token_urlsafe(32),
    "DURE_PARTNER_KEY": lambda: "partner_" + secrets.token_urlsafe(24),
    "DURE_PAYMENTS_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
    "DURE_PAYMENTS_PROVIDER_SECRET_KEY": lambda: "test_sk_" + secrets.token_urlsafe(24),
    "DURE_PAYMENTS_PROVIDER_WEBHOOK_SECRET": lambda: "whsec_" + secrets.token_urlsafe(24),
}
"""Environment variable, and how a value is made for it."""


def load(data_dir: Path) -> Mapping[str, str]:
    """The secrets under ``data_dir``, made if they are not there; those set in the environment win.

    Raises StartError when the folder cannot be written.
    """
    path = data_dir / "secrets.json"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        missing = {name: make() for name, make in MAKERS.items() if name not in kept}
        if missing:
            kept |= missing
            _write(path, kept)
    except (OSError, ValueError) as error:
        raise StartError(f"cannot keep data in {data_dir}: {error}; set DURE_DATA_DIR to a folder you own") from None
    return {name: os.environ.get(name, value) for name, value in kept.items()}


def put_into_environment(data_dir: Path) -> None:
    """Every settings class of this process and of its children reads them from there."""
    os.environ.update(load(data_dir))


def _write(path: Path, kept: Mapping[str, str]) -> None:
    """Whole or not at all: a start that is killed here must not leave half a file."""
    half = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(kept, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)
