"""The selection set of one fetch while it grows, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from router.operation.model import Argument


@dataclass(eq=False, slots=True)
class SelectedField:
    """A field under its data key. ``tree`` is None for a leaf."""

    name: str
    arguments: tuple[Argument, ...]
    directives: tuple[str, ...]
    tree: SelectionTree | None


@dataclass(eq=False, slots=True)
class SelectionTree:
    """Fields by data key, and further selections by type condition."""

    fields: dict[str, SelectedField] = field(default_factory=dict)
    fragments: dict[str, SelectionTree] = field(default_factory=dict)

    def select(
        self, key: str, name: str, arguments: tuple[Argument, ...], directives: tuple[str, ...], leaf: bool
    ) -> SelectionTree:
        """Add a field; the tree below it (an unused one for a leaf)."""
        selected = self.fields.get(key)
        if selected is None:
            selected = self.fields[key] = SelectedField(name, arguments, directives, None if leaf else SelectionTree())
        return selected.tree or SelectionTree()

    def select_typename(self) -> None:
        """Have each object tell its type."""
        self.fields.setdefault("__typename", SelectedField("__typename", (), (), None))

    def fragment(self, type_name: str) -> SelectionTree:
        """The tree under a type condition."""
        return self.fragments.setdefault(type_name, SelectionTree())

    def prune(self) -> None:
        """Drop type conditions that select nothing, or only leaves that are selected without a condition."""
        for selected in self.fields.values():
            if selected.tree:
                selected.tree.prune()
        for tree in self.fragments.values():
            tree.prune()
            tree.fields = {key: inner for key, inner in tree.fields.items() if inner.tree or key not in self.fields}
        self.fragments = {name: tree for name, tree in self.fragments.items() if not tree.empty}

    @property
    def empty(self) -> bool:
        """Whether nothing is selected."""
        return not self.fields and not self.fragments

    def merge(self, other: SelectionTree) -> None:
        """Add all of another tree."""
        for key, selected in other.fields.items():
            mine = self.fields.get(key)
            if mine is None:
                self.fields[key] = selected
            elif mine.tree and selected.tree:
                mine.tree.merge(selected.tree)
        for name, tree in other.fragments.items():
            self.fragment(name).merge(tree)

    def variables(self) -> Iterator[str]:
        """The variables its arguments and directives use."""
        for selected in self.fields.values():
            for argument in selected.arguments:
                yield from sorted(argument.variables)
            for directive in selected.directives:
                yield from _variables_in(directive)
            if selected.tree:
                yield from selected.tree.variables()
        for tree in self.fragments.values():
            yield from tree.variables()

    def text(self) -> str:
        """The selection set as compact GraphQL. An empty one asks for ``__typename``, since something must be asked."""
        parts = [_field_text(key, selected) for key, selected in self.fields.items()]
        parts += [f"... on {name} {tree.text()}" for name, tree in self.fragments.items()]
        return f"{{ {' '.join(parts) or '__typename'} }}"


def _field_text(key: str, selected: SelectedField) -> str:
    text = selected.name if key == selected.name else f"{key}: {selected.name}"
    if selected.arguments:
        text += f"({', '.join(f'{a.name}: {a.value}' for a in selected.arguments)})"
    if selected.directives:
        text += " " + " ".join(selected.directives)
    return text if selected.tree is None else f"{text} {selected.tree.text()}"


def _variables_in(source: str) -> Iterator[str]:
    for part in source.split("$")[1:]:
        name = part[: next((i for i, c in enumerate(part) if not (c.isalnum() or c == "_")), len(part))]
        if name:
            yield name
