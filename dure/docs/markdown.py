"""The little Markdown that the generated pages need."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Generated from the code by `make docs`: change the code instead. -->"


def page(title: str, *blocks: str) -> str:
    """A whole page: the notice, the title and the blocks, one empty line between them."""
    return "\n\n".join([NOTICE, f"# {title}", *(block for block in blocks if block)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold anything but line breaks."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def docstring(of: object) -> str:
    """Its docstring as Markdown: reStructuredText's double backquotes become single ones, paragraphs stay."""
    text = inspect.cleandoc(getattr(of, "__doc__", None) or "").replace("``", "`")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def first_paragraph(of: object) -> str:
    """The first paragraph of its docstring, on one line."""
    return docstring(of).split("\n\n")[0]
