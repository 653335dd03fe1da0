"""Types as the plan writes them (``[User!]!``), read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class TypeRef:
    """A named type, or a list of ``item``."""

    name: str
    nullable: bool
    item: TypeRef | None = None

    def __str__(self) -> str:
        inner = f"[{self.item}]" if self.item else self.name
        return inner if self.nullable else inner + "!"


@lru_cache(maxsize=4096)
def parse_type(text: str) -> TypeRef:
    """Read a type reference."""
    text = text.strip()
    nullable = not text.endswith("!")
    core = text if nullable else text[:-1].rstrip()
    if core.startswith("["):
        item = parse_type(core[1:-1])
        return TypeRef(item.name, nullable, item)
    return TypeRef(core, nullable)
