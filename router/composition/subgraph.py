"""From a subgraph's SDL to its linked form: parsed, checked as GraphQL, root types renamed, machinery left out."""

from __future__ import annotations

from collections.abc import Sequence

from graphql import GraphQLError, GraphQLSyntaxError, build_ast_schema, parse
from graphql.language import (
    ConstDirectiveNode,
    DefinitionNode,
    DirectiveDefinitionNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumTypeExtensionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputObjectTypeExtensionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    InterfaceTypeExtensionNode,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    ObjectTypeExtensionNode,
    ScalarTypeDefinitionNode,
    ScalarTypeExtensionNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    StringValueNode,
    TypeDefinitionNode,
    TypeExtensionNode,
    UnionTypeDefinitionNode,
    UnionTypeExtensionNode,
    ValueNode,
    print_ast,
)
from graphql.language import (
    TypeNode as TypeReferenceNode,
)
from graphql.type import validate_schema
from graphql.validation.validate import validate_sdl

from router.composition.definitions import check_definition, federation_definitions
from router.composition.link import Linking, read_links, resolve_directive
from router.composition.model import (
    ROOT_TYPES,
    Directive,
    EnumValue,
    Field,
    InputValue,
    Kind,
    Subgraph,
    SubgraphInput,
    TypeDefinition,
    place_of,
)
from router.errors import CompositionError, CompositionErrorCode, Place

_KINDS: dict[type, Kind] = {
    ScalarTypeDefinitionNode: "scalar",
    ScalarTypeExtensionNode: "scalar",
    ObjectTypeDefinitionNode: "object",
    ObjectTypeExtensionNode: "object",
    InterfaceTypeDefinitionNode: "interface",
    InterfaceTypeExtensionNode: "interface",
    UnionTypeDefinitionNode: "union",
    UnionTypeExtensionNode: "union",
    EnumTypeDefinitionNode: "enum",
    EnumTypeExtensionNode: "enum",
    InputObjectTypeDefinitionNode: "input",
    InputObjectTypeExtensionNode: "input",
}
_DEFINITION_OF: dict[type, type] = {
    ScalarTypeExtensionNode: ScalarTypeDefinitionNode,
    ObjectTypeExtensionNode: ObjectTypeDefinitionNode,
    InterfaceTypeExtensionNode: InterfaceTypeDefinitionNode,
    UnionTypeExtensionNode: UnionTypeDefinitionNode,
    EnumTypeExtensionNode: EnumTypeDefinitionNode,
    InputObjectTypeExtensionNode: InputObjectTypeDefinitionNode,
}
_ENTITY_FIELDS = frozenset({"_service", "_entities"})
_MACHINERY_TYPES = frozenset({"_Any", "_Entity", "_Service"})
TypeNode = TypeDefinitionNode | TypeExtensionNode


def read_subgraph(source: SubgraphInput) -> tuple[Subgraph | None, list[CompositionError]]:
    """Parse and link one subgraph, with what is wrong with it; None if that makes the rest unreadable."""
    if source.name in ("", "_"):
        message = f'"{source.name}" cannot be the name of a subgraph.'
        return None, [CompositionError(CompositionErrorCode.INVALID_SUBGRAPH_NAME, message, (source.name,))]
    try:
        document = parse(source.sdl)
    except GraphQLSyntaxError as error:
        return None, [_graphql_error(source.name, error)]
    linking = read_links(document, source.name)
    if linking.errors:
        return None, linking.errors
    errors = _definition_errors(document, linking, source.name)
    if errors:
        return None, errors
    document = _without_definitions(document, linking)
    roots = _root_names(document)
    errors, readable = _check_graphql(document, linking, source.name)
    errors = errors or _check_roots(document, roots, source.name)
    if errors and not readable:
        return None, errors
    return _Reader(source, linking, roots).read(document), errors


def _graphql_error(subgraph: str, error: GraphQLError) -> CompositionError:
    places = tuple(Place(subgraph, where.line, where.column) for where in error.locations or ())
    return CompositionError(CompositionErrorCode.INVALID_GRAPHQL, error.message, (subgraph,), places)


# --- checks -------------------------------------------------------------------------------------------------------


def _definition_errors(document: DocumentNode, linking: Linking, subgraph: str) -> list[CompositionError]:
    errors = []
    for definition in document.definitions:
        if isinstance(definition, DirectiveDefinitionNode):
            feature, name = linking.directives.get(definition.name.value, ("", ""))
            if feature == "federation":
                errors += check_definition(definition, name, linking, subgraph)
        elif isinstance(definition, ScalarTypeDefinitionNode):
            continue
        elif isinstance(definition, TypeDefinitionNode) and definition.name.value in linking.scalars.values():
            message = f'"{definition.name.value}" must be a scalar: federation defines it.'
            code = CompositionErrorCode.TYPE_DEFINITION_INVALID
            errors.append(CompositionError(code, message, (subgraph,), place_of(subgraph, definition)))
    return errors


def _without_definitions(document: DocumentNode, linking: Linking) -> DocumentNode:
    """Leave out federation's own definitions where the subgraph spells them out: they are put in again, complete."""
    prefix = f"{linking.link_name}__"
    dropped = {"_FieldSet", f"{prefix}Purpose", f"{prefix}Import", *linking.scalars.values()}
    definitions = tuple(
        definition
        for definition in document.definitions
        if not (isinstance(definition, DirectiveDefinitionNode) and definition.name.value in linking.directives)
        and not (isinstance(definition, TypeDefinitionNode | TypeExtensionNode) and definition.name.value in dropped)
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


def _check_graphql(document: DocumentNode, linking: Linking, subgraph: str) -> tuple[list[CompositionError], bool]:
    """The GraphQL specification's own rules, with federation's definitions in place.

    Also tells whether the document is at least well formed: no rule of SDL broken, only types that do not fit.
    """
    complete = DocumentNode(
        definitions=(*_based(document.definitions), *federation_definitions(linking)), loc=document.loc
    )
    problems: Sequence[GraphQLError] = validate_sdl(complete)
    readable = not problems
    if readable:
        try:
            schema = build_ast_schema(complete, assume_valid_sdl=True)
        except GraphQLError as error:
            problems, readable = [error], False
        except TypeError as error:
            problems, readable = [GraphQLError(str(error))], False
        else:
            problems = [p for p in validate_schema(schema) if p.message != "Query root type must be provided."]
    return [_graphql_error(subgraph, problem) for problem in problems], readable


def _based(definitions: Sequence[DefinitionNode]) -> list[DefinitionNode]:
    """Federation lets a subgraph extend what another defines: turn the first such extension into a definition."""
    defined = {d.name.value for d in definitions if isinstance(d, TypeDefinitionNode)}
    result: list[DefinitionNode] = []
    for definition in definitions:
        if isinstance(definition, TypeExtensionNode) and definition.name.value not in defined:
            defined.add(definition.name.value)
            values = {key: getattr(definition, key, None) for key in definition.keys}
            definition = _DEFINITION_OF[type(definition)](**values)
        result.append(definition)
    return result


def _root_names(document: DocumentNode) -> dict[str, str]:
    """Operation kind -> the type that the schema definition names, or the default name."""
    roots = {
        operation.operation.value: operation.type.name.value
        for definition in document.definitions
        if isinstance(definition, SchemaDefinitionNode | SchemaExtensionNode)
        for operation in definition.operation_types or ()
    }
    has_definition = any(isinstance(d, SchemaDefinitionNode) for d in document.definitions)
    return roots if has_definition else ROOT_TYPES | roots


def _check_roots(document: DocumentNode, roots: dict[str, str], subgraph: str) -> list[CompositionError]:
    names = {d.name.value for d in document.definitions if isinstance(d, TypeDefinitionNode | TypeExtensionNode)}
    errors = []
    for kind, default in ROOT_TYPES.items():
        if default in names and roots.get(kind, default) != default:
            code = CompositionErrorCode(f"ROOT_{kind.upper()}_USED")
            message = f'Type "{default}" is not the {kind} root, so it cannot have that name: "{roots[kind]}" is.'
            errors.append(CompositionError(code, message, (subgraph,)))
    return errors


# --- reading ------------------------------------------------------------------------------------------------------


class _Reader:
    """Turns syntax nodes into model elements, with every name in its linked form."""

    def __init__(self, source: SubgraphInput, linking: Linking, roots: dict[str, str]) -> None:
        self._source = source
        self._linking = linking
        self._renames = {name: ROOT_TYPES[kind] for kind, name in roots.items() if name != ROOT_TYPES[kind]}

    def read(self, document: DocumentNode) -> Subgraph:
        types: dict[str, TypeDefinition] = {}
        schema_directives: list[Directive] = []
        definitions: dict[str, DirectiveDefinitionNode] = {}
        for node in document.definitions:
            if isinstance(node, SchemaDefinitionNode | SchemaExtensionNode):
                schema_directives += self._directives(node.directives)
            elif isinstance(node, DirectiveDefinitionNode):
                definitions[node.name.value] = node
            elif isinstance(node, TypeDefinitionNode | TypeExtensionNode):
                self._read_type(node, types)
        subgraph = Subgraph(
            self._source.name,
            self._source.url,
            types,
            schema_directives,
            definitions,
            self._linking.links,
            self._linking.version,
            {name: local for local, (feature, name) in self._linking.directives.items() if feature == "federation"},
            {name: known for name in definitions if (known := resolve_directive(self._linking, name))[0]},
        )
        subgraph.index()
        return subgraph

    def _read_type(self, node: TypeNode, types: dict[str, TypeDefinition]) -> None:
        name = self._name(node.name.value)
        if name in _MACHINERY_TYPES:
            return
        is_extension = isinstance(node, TypeExtensionNode)
        type_ = types.get(name)
        if type_ is None:
            type_ = types[name] = TypeDefinition(name, node=node, kind=_KINDS[type(node)], is_extension=is_extension)
        elif type_.is_extension and not is_extension:
            type_.is_extension, type_.node = False, node
        if isinstance(node, TypeDefinitionNode):
            type_.description = _text(node.description)
        directives = self._directives(node.directives)
        type_.blocks += 1
        for directive in directives:
            directive.block = type_.blocks
        type_.directives += directives
        inherited = [d for d in directives if d.feature == "federation" and d.name in ("shareable", "external")]
        for field in getattr(node, "fields", None) or ():
            if isinstance(field, FieldDefinitionNode) and not (name == "Query" and field.name.value in _ENTITY_FIELDS):
                type_.fields[field.name.value] = read = self._field(field)
                # These two hold for the fields of the declaration they stand on, not for the whole type.
                read.directives += [
                    Directive(d.name, d.arguments, d.feature) for d in inherited if not read.has(d.name)
                ]
            elif isinstance(field, InputValueDefinitionNode):
                type_.inputs[field.name.value] = self._input(field)
        for value in getattr(node, "values", None) or ():
            type_.values[value.name.value] = EnumValue(
                value.name.value, _text(value.description), self._directives(value.directives), value
            )
        type_.interfaces += [self._name(i.name.value) for i in getattr(node, "interfaces", None) or ()]
        type_.members += [self._name(m.name.value) for m in getattr(node, "types", None) or ()]

    def _name(self, name: str) -> str:
        return self._renames.get(name, name)

    def _type(self, node: InputValueDefinitionNode | FieldDefinitionNode) -> str:
        text = type_source(node.type)
        base = text.strip("[]!")
        return text.replace(base, self._renames[base]) if base in self._renames else text

    def _field(self, node: FieldDefinitionNode) -> Field:
        return Field(
            node.name.value,
            _text(node.description),
            self._directives(node.directives),
            node,
            self._type(node),
            {argument.name.value: self._input(argument) for argument in node.arguments or ()},
        )

    def _input(self, node: InputValueDefinitionNode) -> InputValue:
        return InputValue(
            node.name.value,
            _text(node.description),
            self._directives(node.directives),
            node,
            self._type(node),
            node.default_value,
        )

    def _directives(self, nodes: Sequence[ConstDirectiveNode] | None) -> list[Directive]:
        result = []
        for node in nodes or ():
            feature, name = resolve_directive(self._linking, node.name.value)
            arguments: dict[str, ValueNode] = {argument.name.value: argument.value for argument in node.arguments or ()}
            result.append(Directive(name, arguments, feature, node))
        return result


def type_source(node: TypeReferenceNode) -> str:
    """``[User!]!`` (what print_ast gives, without its visitor: this runs for every field and argument)."""
    if isinstance(node, NonNullTypeNode):
        return f"{type_source(node.type)}!"
    if isinstance(node, ListTypeNode):
        return f"[{type_source(node.type)}]"
    return node.name.value if isinstance(node, NamedTypeNode) else print_ast(node)


def _text(node: StringValueNode | None) -> str | None:
    return node.value if node is not None else None
