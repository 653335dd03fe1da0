"""A normalised operation as text, for people."""

from __future__ import annotations

from collections.abc import Iterator

from router.operation.model import Field, InlineFragment, Operation, Selection


def print_operation(operation: Operation) -> str:
    """GraphQL source, indented. Every fragment shows its type condition, and whether it is deferred."""
    definitions = ", ".join(
        f"${variable.name}: {variable.type}" + (f" = {variable.default}" if variable.default is not None else "")
        for variable in operation.variables
    )
    name = f" {operation.name}" if operation.name else ""
    head = f"{operation.kind}{name}{f'({definitions})' if definitions else ''}"
    return "\n".join([f"{head} {{", *_lines(operation.selections, "  "), "}"])


def _lines(selections: tuple[Selection, ...], indent: str) -> Iterator[str]:
    for selection in selections:
        head = _field(selection) if isinstance(selection, Field) else _fragment(selection)
        if selection.selections or isinstance(selection, InlineFragment):
            yield f"{indent}{head} {{"
            yield from _lines(selection.selections, indent + "  ")
            yield f"{indent}}}"
        else:
            yield indent + head


def _field(field: Field) -> str:
    alias = "" if field.response_name == field.name else f"{field.response_name}: "
    arguments = ", ".join(f"{argument.name}: {argument.value}" for argument in field.arguments)
    return " ".join([f"{alias}{field.name}{f'({arguments})' if arguments else ''}", *field.directives])


def _fragment(fragment: InlineFragment) -> str:
    head = f"... on {fragment.type_condition}"
    if fragment.defer is None:
        return head
    return f'{head} @defer(label: "{fragment.defer.label}")' if fragment.defer.label is not None else f"{head} @defer"
