"""Manifests of persisted operations: what is read, and what is refused with which words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from router.errors import SourceError
from router.pipeline.persisted import read_manifest

BODY = "query Me { me { id } }"
HASH = hashlib.sha256(BODY.encode()).hexdigest()
ME = {"id": HASH, "name": "Me", "type": "query", "body": BODY}


def write(path: Path, *operations: Any, **changed: Any) -> Path:
    file = path / "manifest.json"
    document = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": list(operations)} | changed
    file.write_bytes(orjson.dumps(document))
    return file


def test_operations_are_found_by_id_and_by_name(tmp_path: Path) -> None:
    """Both ways lead to the same operation."""
    manifest = read_manifest(write(tmp_path, ME))
    operation = manifest.by_id[HASH]
    assert (operation.name, operation.kind, operation.body) == ("Me", "query", BODY)
    assert manifest.by_name["Me"] is operation


def test_a_hash_may_be_written_in_capitals(tmp_path: Path) -> None:
    """Hexadecimal digits are the same in either case."""
    assert set(read_manifest(write(tmp_path, ME | {"id": HASH.upper()})).by_id) == {HASH}


def test_an_id_that_is_no_hash_is_a_chosen_name(tmp_path: Path) -> None:
    """Manifests may name operations as they like."""
    assert set(read_manifest(write(tmp_path, ME | {"id": "me-v1"})).by_id) == {"me-v1"}


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ([ME, ME], 'the id ".*" is given to two'),
        ([ME, ME | {"id": "other"}], 'the name "Me" is given to two'),
        ([ME | {"body": BODY + " "}], "its body has the hash"),
        ([ME | {"name": "You"}], "must hold that query"),
        ([ME | {"type": "mutation"}], "must hold that mutation"),
        ([ME | {"id": "x", "body": BODY + " query B { me { id } }"}], "no other operation"),
        ([ME | {"id": "x", "body": "query Me {"}], "not GraphQL"),
        ([{"id": "x"}], "operation 1 must have"),
        (["x"], "operation 1 must have"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, operations: list[Any], words: str) -> None:
    """The error names the file and the operation."""
    with pytest.raises(SourceError, match=words) as refused:
        read_manifest(write(tmp_path, *operations))
    assert "manifest.json" in str(refused.value)


@pytest.mark.parametrize("changed", [{"format": "relay"}, {"version": 2}, {"operations": {}}])
def test_other_formats_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Nothing is guessed about files of another kind."""
    with pytest.raises(SourceError, match="cannot be used"):
        read_manifest(write(tmp_path, **changed))


def test_files_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    """Missing, or not JSON."""
    with pytest.raises(SourceError, match="Cannot read the manifest"):
        read_manifest(tmp_path / "absent.json")
    (tmp_path / "text").write_text("{")
    with pytest.raises(SourceError, match="is not JSON"):
        read_manifest(tmp_path / "text")
