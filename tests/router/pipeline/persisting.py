"""Manifests in files, and clients that use them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from router.settings import ClientSettings


def digest(text: str) -> str:
    """SHA-256 in hexadecimal: the id of a document, or the hash of an API key."""
    return hashlib.sha256(text.encode()).hexdigest()


def manifest(file: Path, **bodies: str) -> Path:
    """A manifest of operations by name; the first word of a body is its type."""
    operations = [
        {"id": digest(body), "name": name, "type": body.split()[0], "body": body} for name, body in bodies.items()
    ]
    document = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
    file.write_bytes(orjson.dumps(document))
    return file


def client(key: str | None, file: Path | None, **settings: Any) -> ClientSettings:
    """A client's settings."""
    return ClientSettings.model_validate({"keys": [digest(key)] if key else [], "manifest": file, **settings})
