"""What a document may cost before anything is done for it.

Sizes of fragments are counted once each and added up, so a document of doubling fragments is counted as fast as it
is read, and refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    NameNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Visitor,
    parse,
    visit,
)

from router.errors import RequestError, RequestErrorCode
from router.settings import Limits

INTROSPECTION_ROOTS = ("__schema", "__type")


@dataclass(frozen=True, slots=True)
class Size:
    """What a selection set comes to, with its fragments expanded."""

    fields: int = 0
    aliases: int = 0
    depth: int = 0
    roots: int = 0

    def beside(self, other: Size) -> Size:
        """Both in one selection set."""
        return Size(
            self.fields + other.fields,
            self.aliases + other.aliases,
            max(self.depth, other.depth),
            self.roots + other.roots,
        )


def parse_limited(text: str, limits: Limits) -> DocumentNode:
    """Parse a document that is not too large. Raises RequestError, also for syntax errors."""
    if len(text) > limits.document_bytes or len(text.encode("utf-8", "replace")) > limits.document_bytes:
        raise _too_much("document", limits.document_bytes, "bytes")
    try:
        return parse(
            text, max_lexical_tokens=limits.tokens, max_comments=limits.comments, allow_empty_selection_sets=False
        )
    except GraphQLSyntaxError as error:
        places = tuple((place.line, place.column) for place in error.locations or ())
        # The parser tells of its limits (tokens, comments, nesting) with these words, and in no other way.
        limit = error.message.endswith("Parsing aborted.")
        code = RequestErrorCode.LIMIT_EXCEEDED if limit else RequestErrorCode.GRAPHQL_PARSE_FAILED
        raise RequestError(code, error.message, locations=(places,)) from None
    except RecursionError:
        raise _too_much("document's nesting", limits.depth, "levels") from None


def check_document(document: DocumentNode, limits: Limits) -> None:
    """Limits that are the same for every operation of the document. Raises RequestError."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > limits.operations:
        raise _too_much("document", limits.operations, "operations")
    counter = _Counter(limits)
    visit(document, counter)
    if counter.directives > limits.directives:
        raise _too_much("document", limits.directives, "directives")


def check_operation(document: DocumentNode, operation: OperationDefinitionNode, limits: Limits) -> int:
    """Limits of one operation; gives the number of its fields. Raises RequestError.

    Fragments must exist and form no cycle.
    """
    if len(operation.variable_definitions or ()) > limits.variables:
        raise _too_much("operation", limits.variables, "variables")
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    size = _Sizes(fragments).of(operation.selection_set)
    roots = limits.mutation_root_fields if operation.operation is OperationType.MUTATION else limits.root_fields
    for what, found, allowed in (
        ("levels", size.depth, limits.depth),
        ("aliases", size.aliases, limits.aliases),
        ("root fields", size.roots, roots),
    ):
        if found > allowed:
            raise _too_much("operation", allowed, what)
    # More fields than any caller may ask for need not be expanded to be refused.
    if size.fields > (most := max(limits.fields_anonymous, limits.fields_signed_in)):
        raise _too_much("operation", most, "fields")
    if limits.single_root_fields and operation.operation is OperationType.MUTATION:
        _check_alone(operation.selection_set, fragments, limits.single_root_fields)
    _check_response_names([operation.selection_set], fragments, limits.same_key)
    return size.fields


def check_fields(fields: int, limits: Limits, *, signed_in: bool) -> None:
    """The limit that depends on the caller. Raises RequestError."""
    allowed = limits.fields_signed_in if signed_in else limits.fields_anonymous
    if fields > allowed:
        raise _too_much("operation", allowed, "fields")


class _Counter(Visitor):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.directives = 0
        self._limits = limits

    def enter(self, node: Node, *_: object) -> None:
        if isinstance(node, NameNode) and len(node.value) > self._limits.name_length:
            raise _too_much("name", self._limits.name_length, "characters")
        directives = getattr(node, "directives", None) or ()
        self.directives += len(directives)
        if len(directives) > self._limits.directives_per_place:
            raise _too_much("place", self._limits.directives_per_place, "directives")


class _Sizes:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, Size] = {}

    def of(self, selection_set: SelectionSetNode) -> Size:
        size = Size()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                size = size.beside(self._field(node))
            elif isinstance(node, InlineFragmentNode):
                size = size.beside(self.of(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                size = size.beside(self._fragment(node.name.value))
        return size

    def _field(self, node: FieldNode) -> Size:
        aliases = 1 if node.alias else 0
        if node.selection_set is None:
            return Size(1, aliases, 1, 1)
        inner = self.of(node.selection_set)
        depth = 1 if node.name.value in INTROSPECTION_ROOTS else inner.depth + 1
        return Size(inner.fields + 1, inner.aliases + aliases, depth, 1)

    def _fragment(self, name: str) -> Size:
        if name not in self._known:
            self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]


def _check_alone(root: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], single: tuple[str, ...]) -> None:
    """What must be alone in its operation is, in whatever fragments it may stand: one log-in a request."""
    found: list[str] = []
    waiting = [root]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                found.append(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                waiting.append(fragments[node.name.value].selection_set)
    alone = next((name for name in found if name in single), None)
    if alone is not None and len(found) > 1:
        message = f'"{alone}" must be the only field of its mutation.'
        raise RequestError(RequestErrorCode.LIMIT_EXCEEDED, message)


def _check_response_names(
    selection_sets: list[SelectionSetNode], fragments: dict[str, FragmentDefinitionNode], allowed: int
) -> None:
    """Fields of one response name are compared pair by pair in validation, wherever in the document they come from."""
    found: dict[str, list[FieldNode]] = {}
    waiting = selection_sets[::-1]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                name = node.alias.value if node.alias else node.name.value
                found.setdefault(name, []).append(node)
                if len(found[name]) > allowed:
                    raise _too_much("selection set", allowed, "selections of one response name")
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                waiting.append(fragments[node.name.value].selection_set)
    for fields in found.values():
        if inner := [node.selection_set for node in fields if node.selection_set is not None]:
            _check_response_names(inner, fragments, allowed)


def _too_much(what: str, allowed: int, unit: str) -> RequestError:
    return RequestError(RequestErrorCode.LIMIT_EXCEEDED, f"The {what} has more than {allowed} {unit}.")
