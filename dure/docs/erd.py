"""``docs/erd/``: an entity-relationship diagram (Mermaid) of each subgraph, from its SQLAlchemy metadata."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from sqlalchemy import Column, ForeignKeyConstraint, MetaData, Table
from sqlalchemy.orm import DeclarativeBase

from db.base import table_of
from db.columns import UtcDateTime
from dure import subgraphs
from dure.docs.markdown import first_paragraph, page, table
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table

SHARED = {
    "outbox": "Events recorded in the transaction of what they tell, until the broker has confirmed them.",
    "inbox": "Events handled: one that comes again has no second effect.",
    "dead_letters": "Events that could not be handled, for a person to look at.",
    "idempotency_key": "Keys of mutations, with the answer that a repetition gets.",
}
"""The tables that every subgraph has for itself."""

HOW_TO_READ = (
    "`PK` primary key, `FK` foreign key, `UK` unique by itself; `null` may be absent. Ids are ULIDs (26 characters), "
    "instants are in UTC, amounts are minor units of the currency beside them."
)


def files() -> dict[Path, str]:
    """A page a subgraph, and one for the tables that all of them have."""
    pages = {f"{name}.md": _subgraph(name) for name in subgraphs.ALL}
    pages["shared.md"] = _shared()
    return {Path("docs/erd") / name: text for name, text in pages.items()}


def _subgraph(name: str) -> str:
    base: type[DeclarativeBase] = import_module(f"subgraphs.{name}.models").Base
    told = {table_of(mapper.class_).name: first_paragraph(mapper.class_) for mapper in base.registry.mappers}
    own = [each for each in base.metadata.sorted_tables if each.name not in SHARED]
    return page(
        f"Tables of {name}",
        HOW_TO_READ,
        f"Beside these, {name} has its own {', '.join(f'`{each}`' for each in SHARED)}: [shared](shared.md).",
        diagram(own),
        table(("table", "holds"), ((f"`{each.name}`", told.get(each.name, "")) for each in own)),
    )


def _shared() -> str:
    metadata = MetaData()
    own = [make(metadata) for make in (outbox_table, inbox_table, dead_letter_table, idempotency_table)]
    return page(
        "Tables that every subgraph has for itself",
        HOW_TO_READ,
        diagram(own),
        table(("table", "holds"), ((f"`{name}`", text) for name, text in SHARED.items())),
    )


def diagram(tables: list[Table]) -> str:
    """The tables and the foreign keys among them."""
    lines = ["```mermaid", "erDiagram"]
    for each in tables:
        lines.append(f"    {each.name} {{")
        lines += [f"        {_attribute(column)}" for column in each.columns]
        lines.append("    }")
    for each in tables:
        lines += [f"    {_relation(each, key)}" for key in _foreign_keys(each)]
    return "\n".join([*lines, "```"])


def _attribute(column: Column[object]) -> str:
    alone = {tuple(index.columns.keys()) for index in column.table.indexes if index.unique}
    unique = column.unique or (column.name,) in alone
    marks = [("PK", column.primary_key), ("FK", bool(column.foreign_keys)), ("UK", unique)]
    shown = ", ".join(mark for mark, holds in marks if holds)
    return " ".join(part for part in (_type(column), column.name, shown, '"null"' if column.nullable else "") if part)


def _type(column: Column[object]) -> str:
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return "instant"
    length = getattr(kind, "length", None)
    return kind.__visit_name__.lower().replace("big_integer", "bigint") + (f"({length})" if length else "")


def _foreign_keys(each: Table) -> list[ForeignKeyConstraint]:
    return sorted(each.foreign_key_constraints, key=lambda key: tuple(key.column_keys))


def _relation(child: Table, key: ForeignKeyConstraint) -> str:
    """The parent's side first: may it be absent; then the child's: one row or many."""
    parent = "|o" if any(column.nullable for column in key.columns) else "||"
    alone = {frozenset(child.primary_key.columns.keys())}
    alone |= {frozenset(index.columns.keys()) for index in child.indexes if index.unique}
    alone |= {frozenset({column.name}) for column in child.columns if column.unique}
    many = "o|" if frozenset(key.column_keys) in alone else "o{"
    return f'{key.referred_table.name} {parent}--{many} {child.name} : "{", ".join(key.column_keys)}"'
