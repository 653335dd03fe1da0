"""Read a supergraph SDL of any join version (v0.1 to v0.5) into the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from graphql import (
    ConstDirectiveNode,
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    GraphQLError,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    UnionTypeDefinitionNode,
    parse,
    print_ast,
    value_from_ast_untyped,
)

from router.errors import SupergraphError
from router.supergraph import spec
from router.supergraph.model import (
    ArgumentDefinition,
    Authorization,
    ContextArgument,
    FieldDefinition,
    FieldJoin,
    Key,
    OperationKind,
    Subgraph,
    Supergraph,
    TypeDefinition,
    TypeJoin,
    TypeKind,
)

BUILT_IN_SCALARS = ("Int", "Float", "String", "Boolean", "ID")
ROOT_KINDS: tuple[OperationKind, ...] = ("query", "mutation", "subscription")

_Directive = tuple[str, dict[str, Any]]
_Directives = tuple[_Directive, ...]


def load_supergraph(sdl: str) -> Supergraph:
    """Parse and read a supergraph SDL.

    Raises SupergraphError if it is no GraphQL, links to no join specification, or links a feature for security or
    execution that the router does not know (link v1.0, "Purpose").
    """
    try:
        document = parse(sdl, no_location=True)
    except GraphQLError as error:
        raise SupergraphError(f"the supergraph is not valid GraphQL: {error.message}") from error
    return _Loader(document).load()


def read_features(schema: SchemaDefinitionNode | None) -> tuple[spec.Feature, ...]:
    """The features a schema definition links by ``@link`` or, before that, ``@core``."""
    if schema is None:
        return ()
    return tuple(
        _feature(name, arguments)
        for name, arguments in map(_read_directive, schema.directives or ())
        if name in (spec.LINK, spec.CORE) and ("url" in arguments or "feature" in arguments)
    )


def _feature(directive: str, arguments: Mapping[str, Any]) -> spec.Feature:
    url = str(arguments["url" if directive == spec.LINK else "feature"])
    identity, version = spec.parse_feature_url(url)
    imports = tuple(
        (entry, entry) if isinstance(entry, str) else (entry["name"], entry.get("as", entry["name"]))
        for entry in arguments.get("import") or ()
    )
    alias = arguments.get("as") or identity.rsplit("/", 1)[-1]
    return spec.Feature(url, identity, version, alias, imports, arguments.get("for"))


def _read_directive(node: ConstDirectiveNode) -> _Directive:
    return node.name.value, {a.name.value: value_from_ast_untyped(a.value) for a in node.arguments or ()}


class _Loader:
    """The names in force while one document is read."""

    def __init__(self, document: DocumentNode) -> None:
        self.document = document
        self.schema = next((d for d in document.definitions if isinstance(d, SchemaDefinitionNode)), None)
        self.features = read_features(self.schema)
        self.refuse_unknown()
        by_name = {feature.name: feature for feature in self.features if feature.known}
        if spec.JOIN not in by_name:
            raise SupergraphError(
                "this is no supergraph: its schema links to no known version of the join specification"
            )
        self.join = by_name[spec.JOIN]
        self.by_name = by_name
        self.prefixes = tuple(f"{feature.alias}__" for feature in self.features)
        self.machinery = {local for f in self.features for name, local in f.imports if not name.startswith("@")}
        self.names: dict[str, str] = {}

    def refuse_unknown(self) -> None:
        """Unknown features that claim to matter for security or execution must not be passed over in silence."""
        unknown = [f.url for f in self.features if f.purpose in ("SECURITY", "EXECUTION") and not f.known]
        if unknown:
            raise SupergraphError(f"the supergraph needs features this router does not know: {', '.join(unknown)}")

    def load(self) -> Supergraph:
        subgraphs = self.read_subgraphs()
        self.names = {subgraph.graph: subgraph.name for subgraph in subgraphs}
        nodes = [
            node
            for node in self.document.definitions
            if isinstance(node, TypeDefinitionNode) and not self.is_machinery(node.name.value)
        ]
        types = {node.name.value: self.read_type(node) for node in nodes}
        for name in BUILT_IN_SCALARS:
            types.setdefault(name, TypeDefinition(name, "scalar", self.everywhere()))
        return Supergraph(
            subgraphs={subgraph.name: subgraph for subgraph in subgraphs},
            types={name: _settle(definition, types) for name, definition in types.items()},
            root_types=self.read_roots(types),
            features=self.features,
            document=self.document,
        )

    def is_machinery(self, name: str) -> bool:
        return name.startswith(self.prefixes) or name in self.machinery

    def everywhere(self) -> dict[str, TypeJoin]:
        return {name: TypeJoin(name) for name in self.names.values()}

    def read_roots(self, types: Mapping[str, TypeDefinition]) -> dict[OperationKind, str]:
        if self.schema is None:
            return {kind: kind.capitalize() for kind in ROOT_KINDS if kind.capitalize() in types}
        return {o.operation.value: o.type.name.value for o in self.schema.operation_types}

    def read_subgraphs(self) -> list[Subgraph]:
        """The values of the graph enum."""
        enum_name, graph_directive = self.join.element("Graph"), self.join.directive("graph")
        subgraphs = []
        for node in self.document.definitions:
            if isinstance(node, EnumTypeDefinitionNode) and node.name.value == enum_name:
                for value in node.values or ():
                    found = dict(map(_read_directive, value.directives or ())).get(graph_directive, {})
                    graph = value.name.value
                    subgraphs.append(Subgraph(str(found.get("name") or graph), graph, str(found.get("url") or "")))
        if not subgraphs:
            raise SupergraphError(f"the supergraph has no enum {enum_name}, so no subgraphs")
        return subgraphs

    # --- directives -----------------------------------------------------------------------------------------------

    def directives(self, nodes: Iterable[ConstDirectiveNode] | None) -> _Directives:
        return tuple(map(_read_directive, nodes or ()))

    def joins(self, directives: _Directives, name: str) -> Iterator[dict[str, Any]]:
        """The arguments of each ``@join__<name>``, with graph values turned into subgraph names."""
        local = self.join.directive(name)
        for found, arguments in directives:
            if found == local:
                graph = arguments.get("graph")
                if graph is not None and graph not in self.names:
                    raise SupergraphError(f"@{local} names the graph {graph}, which {self.join.alias}__Graph lacks")
                yield {**arguments, "graph": self.names.get(graph) if graph is not None else None}

    def marked(self, directives: _Directives, feature_name: str) -> bool:
        """Whether the main directive of a feature is among them. Unlinked names still count (old supergraphs)."""
        feature = self.by_name.get(feature_name)
        local = feature.directive(feature_name) if feature else feature_name
        return any(found == local for found, _ in directives)

    def authorization(self, directives: _Directives) -> Authorization | None:
        authenticated = self.marked(directives, spec.AUTHENTICATED)
        scopes = self.groups(directives, spec.REQUIRES_SCOPES, "scopes")
        policies = self.groups(directives, spec.POLICY, "policies")
        return Authorization(authenticated, scopes, policies) if authenticated or scopes or policies else None

    def groups(self, directives: _Directives, feature_name: str, argument: str) -> tuple[tuple[str, ...], ...]:
        feature = self.by_name.get(feature_name)
        local = feature.directive(feature_name) if feature else feature_name
        return tuple(tuple(group) for found, args in directives if found == local for group in args.get(argument, ()))

    # --- types ----------------------------------------------------------------------------------------------------

    def read_type(self, node: TypeDefinitionNode) -> TypeDefinition:
        directives = self.directives(node.directives)
        joins = self.read_type_joins(directives)
        owner = next((join["graph"] for join in self.joins(directives, "owner")), None)
        definition = TypeDefinition(
            name=node.name.value,
            kind=_kind(node),
            joins=joins,
            contexts=frozenset(args["name"] for args in self.context_directives(directives)),
            inaccessible=self.marked(directives, spec.INACCESSIBLE),
            authorization=self.authorization(directives),
        )
        match node:
            case ObjectTypeDefinitionNode() | InterfaceTypeDefinitionNode():
                return replace(
                    definition,
                    fields={f.name.value: self.read_field(f, definition, owner) for f in node.fields or ()},
                    interfaces=self.read_interfaces(node, directives, joins),
                )
            case UnionTypeDefinitionNode():
                return replace(definition, members=self.read_members(node, directives, joins))
            case EnumTypeDefinitionNode():
                return self.read_values(node, definition)
            case _:
                return definition

    def context_directives(self, directives: _Directives) -> Iterator[dict[str, Any]]:
        feature = self.by_name.get(spec.CONTEXT)
        return (args for found, args in directives if feature and found == feature.directive(spec.CONTEXT))

    def read_type_joins(self, directives: _Directives) -> dict[str, TypeJoin]:
        """Types without ``@join__type`` (value types of v0.1, root types) are in every subgraph."""
        joins: dict[str, TypeJoin] = {}
        for args in self.joins(directives, "type"):
            known = joins.get(args["graph"], TypeJoin(args["graph"]))
            key = args.get("key")
            keys = (*known.keys, Key(key, args.get("resolvable", True))) if key is not None else known.keys
            joins[args["graph"]] = replace(
                known, keys=keys, is_interface_object=known.is_interface_object or bool(args.get("isInterfaceObject"))
            )
        return joins or self.everywhere()

    def read_interfaces(
        self,
        node: ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode,
        directives: _Directives,
        joins: Mapping[str, TypeJoin],
    ) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for args in self.joins(directives, "implements"):
            found.setdefault(args["graph"], set()).add(args["interface"])
        if not found and self.join.version == "v0.1":
            return {name: frozenset(i.name.value for i in node.interfaces or ()) for name in joins}
        return {name: frozenset(interfaces) for name, interfaces in found.items()}

    def read_members(
        self, node: UnionTypeDefinitionNode, directives: _Directives, joins: Mapping[str, TypeJoin]
    ) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for args in self.joins(directives, "unionMember"):
            found.setdefault(args["graph"], set()).add(args["member"])
        if not found:
            return {name: frozenset(member.name.value for member in node.types or ()) for name in joins}
        return {name: frozenset(members) for name, members in found.items()}

    def read_values(self, node: EnumTypeDefinitionNode, definition: TypeDefinition) -> TypeDefinition:
        values: dict[str, frozenset[str]] = {}
        hidden = set()
        for value in node.values or ():
            directives = self.directives(value.directives)
            graphs = frozenset(args["graph"] for args in self.joins(directives, "enumValue"))
            values[value.name.value] = graphs or frozenset(definition.joins)
            if self.marked(directives, spec.INACCESSIBLE):
                hidden.add(value.name.value)
        return replace(definition, values=values, hidden_values=frozenset(hidden))

    # --- fields ---------------------------------------------------------------------------------------------------

    def read_field(self, node: FieldDefinitionNode, parent: TypeDefinition, owner: str | None) -> FieldDefinition:
        directives = self.directives(node.directives)
        type_source = print_ast(node.type)
        return FieldDefinition(
            name=node.name.value,
            type=type_source,
            arguments={
                a.name.value: ArgumentDefinition(
                    a.name.value,
                    print_ast(a.type),
                    print_ast(a.default_value) if a.default_value else None,
                    self.marked(self.directives(a.directives), spec.INACCESSIBLE),
                )
                for a in node.arguments or ()
            },
            joins=self.read_field_joins(node.name.value, type_source, directives, parent, owner),
            inaccessible=self.marked(directives, spec.INACCESSIBLE),
            authorization=self.authorization(directives),
        )

    def read_field_joins(
        self, name: str, type_source: str, directives: _Directives, parent: TypeDefinition, owner: str | None
    ) -> dict[str, FieldJoin]:
        found = list(self.joins(directives, "field"))
        if not found:
            graphs = [owner] if owner else list(parent.joins)
            return {graph: FieldJoin(graph, type_source) for graph in graphs}
        joins = {args["graph"]: self.field_join(args, type_source) for args in found if args["graph"] is not None}
        for args in found:
            if args.get("override") is not None:
                _apply_override(joins, args["graph"], args["override"], args.get("overrideLabel"))
        if owner:
            # v0.1 does not repeat a key field on the subgraphs that extend the type; each has its own keys' fields.
            for graph, join in parent.joins.items():
                if graph not in joins and any(name in _names_in(key.fields) for key in join.keys):
                    joins[graph] = FieldJoin(graph, type_source)
        return joins

    def field_join(self, args: dict[str, Any], type_source: str) -> FieldJoin:
        return FieldJoin(
            subgraph=args["graph"],
            type=args.get("type") or type_source,
            external=bool(args.get("external")),
            requires=args.get("requires"),
            provides=args.get("provides"),
            overridden=bool(args.get("usedOverridden")) and args.get("overrideLabel") is None,
            context_arguments=tuple(
                ContextArgument(a["name"], a["type"], a["context"], a["selection"])
                for a in args.get("contextArguments") or ()
            ),
        )


def _apply_override(joins: dict[str, FieldJoin], target: str, source: str, label: str | None) -> None:
    """The source loses the field, or has it only while the label is inactive (``@override`` of federation)."""
    if label is not None:
        joins[target] = replace(joins[target], label=label, label_active=True)
    if source in joins and source != target:
        joins[source] = (
            replace(joins[source], overridden=True)
            if label is None
            else replace(joins[source], overridden=False, label=label, label_active=False)
        )


def _names_in(field_set: str) -> set[str]:
    """The outermost names of a field set."""
    depth, names = 0, set()
    for token in field_set.replace("{", " { ").replace("}", " } ").split():
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
        elif depth == 0:
            names.add(token)
    return names


def _kind(node: TypeDefinitionNode) -> TypeKind:
    match node:
        case ScalarTypeDefinitionNode():
            return "scalar"
        case ObjectTypeDefinitionNode():
            return "object"
        case InterfaceTypeDefinitionNode():
            return "interface"
        case UnionTypeDefinitionNode():
            return "union"
        case EnumTypeDefinitionNode():
            return "enum"
        case InputObjectTypeDefinitionNode():
            return "input"
        case _:
            raise SupergraphError(f"unknown kind of type definition: {node.kind}")


def _settle(definition: TypeDefinition, types: Mapping[str, TypeDefinition]) -> TypeDefinition:
    """Union members and interfaces a subgraph does not have are none of its own (versions before v0.3 do not say)."""
    if definition.kind == "union":
        members = {
            graph: frozenset(m for m in names if m in types and graph in types[m].joins)
            for graph, names in definition.members.items()
        }
        return replace(definition, members=members)
    if definition.interfaces:
        interfaces = {
            graph: frozenset(i for i in names if i in types and graph in types[i].joins)
            for graph, names in definition.interfaces.items()
        }
        return replace(definition, interfaces=interfaces)
    return definition
