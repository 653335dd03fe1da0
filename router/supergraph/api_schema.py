"""The schema that clients see: the supergraph without its machinery and without inaccessible elements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DirectiveDefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    Node,
    ObjectTypeDefinitionNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    UnionTypeDefinitionNode,
    assert_valid_schema,
    build_ast_schema,
    parse,
)

from router.errors import SupergraphError
from router.supergraph import spec
from router.supergraph.model import Supergraph

KEPT_DIRECTIVES = frozenset({"deprecated", "specifiedBy", "oneOf"})
DEFER = "directive @defer(label: String, if: Boolean! = true) on FRAGMENT_SPREAD | INLINE_FRAGMENT"
EXECUTABLE = frozenset(
    {"QUERY", "MUTATION", "SUBSCRIPTION", "FIELD"}
    | {"FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT", "VARIABLE_DEFINITION"}
)

AnyNode = TypeVar("AnyNode", bound=Node)
Element = TypeVar("Element", FieldDefinitionNode, InputValueDefinitionNode, EnumValueDefinitionNode)


def api_schema(supergraph: Supergraph) -> GraphQLSchema:
    """Derive the API schema.

    Raises SupergraphError if what is left is not a valid schema (an inaccessible type still in use, no query root).
    """
    try:
        schema = build_ast_schema(DocumentNode(definitions=tuple(_ApiDocument(supergraph).definitions())))
        assert_valid_schema(schema)
    except (GraphQLError, TypeError) as error:
        raise SupergraphError(f"the supergraph has no valid API schema: {error}") from error
    return schema


class _ApiDocument:
    """What is hidden in one supergraph, and the definitions without it."""

    def __init__(self, supergraph: Supergraph) -> None:
        self.supergraph = supergraph
        feature = supergraph.feature(spec.INACCESSIBLE)
        self.inaccessible = feature.directive(spec.INACCESSIBLE) if feature else spec.INACCESSIBLE
        self.linked = {f.alias for f in supergraph.features} | {
            local.removeprefix("@") for f in supergraph.features for name, local in f.imports if name.startswith("@")
        }
        self.prefixes = tuple(f"{feature.alias}__" for feature in supergraph.features)

    def definitions(self) -> Iterable[DefinitionNode]:
        yield from parse(DEFER, no_location=True).definitions
        for node in self.supergraph.document.definitions:
            if isinstance(node, SchemaDefinitionNode):
                roots = [o for o in node.operation_types if self.visible_type(o.type.name.value)]
                yield _copy(node, directives=(), operation_types=tuple(roots))
            elif isinstance(node, DirectiveDefinitionNode):
                yield from self.directive_definition(node)
            elif isinstance(node, TypeDefinitionNode) and self.visible_type(node.name.value):
                yield self.type_definition(node)

    def visible_type(self, name: str) -> bool:
        definition = self.supergraph.types.get(name)
        return definition is not None and not definition.inaccessible

    def directive_definition(self, node: DirectiveDefinitionNode) -> Iterable[DirectiveDefinitionNode]:
        """Only what clients may write in an operation is theirs to know."""
        name = node.name.value
        locations = tuple(location for location in node.locations if location.value in EXECUTABLE)
        machinery = name in self.linked or name.startswith(self.prefixes) or name in ("defer", "skip", "include")
        if locations and not machinery:
            yield _copy(node, locations=locations, arguments=self.kept(node.arguments))

    def type_definition(self, node: TypeDefinitionNode) -> TypeDefinitionNode:
        changes: dict[str, Any] = {"directives": self.kept_directives(node.directives)}
        match node:
            case ObjectTypeDefinitionNode() | InterfaceTypeDefinitionNode():
                changes["interfaces"] = tuple(i for i in node.interfaces or () if self.visible_type(i.name.value))
                changes["fields"] = tuple(self.field(field) for field in self.kept(node.fields))
            case UnionTypeDefinitionNode():
                changes["types"] = tuple(t for t in node.types or () if self.visible_type(t.name.value))
            case EnumTypeDefinitionNode():
                changes["values"] = self.kept(node.values)
            case InputObjectTypeDefinitionNode():
                changes["fields"] = self.kept(node.fields)
        return _copy(node, **changes)

    def field(self, node: FieldDefinitionNode) -> FieldDefinitionNode:
        return _copy(node, arguments=self.kept(node.arguments))

    def kept(self, nodes: Iterable[Element] | None) -> tuple[Element, ...]:
        """The accessible ones, with only the directives that clients may see."""
        return tuple(
            _copy(node, directives=self.kept_directives(node.directives))
            for node in nodes or ()
            if not any(d.name.value == self.inaccessible for d in node.directives or ())
        )

    def kept_directives(self, nodes: Iterable[ConstDirectiveNode] | None) -> tuple[ConstDirectiveNode, ...]:
        return tuple(node for node in nodes or () if node.name.value in KEPT_DIRECTIVES)


def _copy(node: AnyNode, **changes: Any) -> AnyNode:
    """A node with some members replaced; AST nodes are shared with the loaded document and never changed in it."""
    return type(node)(**{key: getattr(node, key, None) for key in node.keys} | changes)
