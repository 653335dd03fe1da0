"""The generated documents say what the code says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table

from dure import docs, subgraphs
from dure.docs.erd import SHARED, diagram
from dure.docs.failpoints import _name, places
from dure.docs.settings import rows
from dure.purging import TAKES
from dure.settings import ROOT, Settings
from messaging.events import CATALOGUE
from router.settings import Settings as RouterSettings

HAND_WRITTEN = [ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*HAND_WRITTEN, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "subgraphs").glob("*/README.md"))]


def test_nothing_has_drifted() -> None:
    """What lies in the repository is what the code generates; `make docs` writes it."""
    assert docs.drift() == []


def test_drift_is_noticed_and_repaired(tmp_path: Path) -> None:
    """A changed page, a missing page and a page that nothing says any more are all named, and `write` repairs them."""
    assert set(docs.write(tmp_path)) == set(docs.files())
    assert docs.drift(tmp_path) == []
    changed, missing = Path("docs/settings.md"), Path("docs/erd/orders.md")
    orphan = Path("schema/events/dure.orders.order_forgotten.v1.schema.json")
    (tmp_path / changed).write_text("something else")
    (tmp_path / missing).unlink()
    (tmp_path / orphan).write_text("{}")
    assert set(docs.drift(tmp_path)) == {changed, missing, orphan}
    assert set(docs.write(tmp_path)) == {changed, missing, orphan}
    assert docs.drift(tmp_path) == []
    assert not (tmp_path / orphan).exists()


def test_the_command_compares_without_writing(tmp_path: Path) -> None:
    """`dure docs --check` exits 0 here, and changes no file."""
    before = (ROOT / "docs/settings.md").stat().st_mtime_ns
    command = [sys.executable, "-m", "dure", "docs", "--check"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "DURE_DATA_DIR": str(tmp_path)}, capture_output=True)
    assert done.returncode == 0, done.stdout
    assert (ROOT / "docs/settings.md").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", subgraphs.ALL)
def test_every_table_is_drawn(name: str) -> None:
    """A subgraph's page has all of its own tables, each once, and none of those that everyone has."""
    text = docs.files()[Path(f"docs/erd/{name}.md")]
    drawn = re.findall(r"^    (\w+) \{$", text, re.MULTILINE)
    metadata = __import__(f"subgraphs.{name}.models", fromlist=["Base"]).Base.metadata
    assert sorted(drawn) == sorted(set(metadata.tables) - set(SHARED))


def test_keys_and_their_multiplicities_are_drawn() -> None:
    """Primary, foreign and unique keys are marked; a parent may be absent, a child may be at most one."""
    metadata = MetaData()
    parent = Table("parent", metadata, Column("id", Integer, primary_key=True))
    child = Table(
        "child",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("parent_id", ForeignKey("parent.id"), nullable=False),
        Column("twin_id", ForeignKey("parent.id"), unique=True),
        Column("name", String(10)),
    )
    text = diagram([parent, child])
    assert "integer id PK" in text
    assert "integer twin_id FK, UK" in text
    assert 'string(10) name "null"' in text
    assert 'parent ||--o{ child : "parent_id"' in text
    assert 'parent |o--o| child : "twin_id"' in text


def test_every_event_is_told_with_its_consumers() -> None:
    """Each type of the catalogue has a chapter, a schema, a channel, and the takers that the code has."""
    files = docs.files()
    page = files[Path("docs/events.md")]
    document = yaml.safe_load(files[Path("docs/events.asyncapi.yaml")])
    for type, payload in CATALOGUE.items():
        assert f"### {payload.__name__}\n" in page
        assert Path(f"schema/events/{type}.schema.json") in files
        takers = {name for name, entry in subgraphs.ALL.items() if payload in entry.consumes}
        takers |= {"router"} if payload in TAKES else set()
        taken = {
            name for name in (*subgraphs.ALL, "router") if f"{name}-takes-{payload.__name__}" in document["operations"]
        }
        assert taken == takers


def test_every_setting_is_listed_and_no_secret_is_shown() -> None:
    """All fields are there by the names that the environment has, and a secret's default is not."""
    page = docs.files()[Path("docs/settings.md")]
    for name in Settings.model_fields:
        assert f"`DURE_{name.upper()}`" in page
    listed = {variable for variable, _, _ in rows(RouterSettings, "ROUTER_")}
    assert {"`ROUTER_LIMITS__DEPTH`", "`ROUTER_SUBGRAPHS__<NAME>__URL`"} <= listed
    assert "test_sk_dure" not in page
    assert str(ROOT) not in page


def test_failpoints_are_read_from_the_source() -> None:
    """Written names and names with a part filled in are found; one that is computed whole is refused."""
    found = places()
    assert found["orders.place.before_commit"] == ["`subgraphs/orders/service/place.py`"]
    assert "products.<step>.before_commit" in found
    with pytest.raises(ValueError, match="without a written name"):
        _name(ast.parse("name", mode="eval").body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a document leads to a file, and its anchor to a heading."""
    assert broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    """A link to nothing, and one to a heading that is not there, are found."""
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](missing.md) [b](#one-two) [c](#three) [d](https://example.com)\n")
    assert broken_links(page) == ["missing.md", "#three"]


def broken_links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    return [link for link in links if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path) if path else page
    if not target.exists() or not anchor:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
