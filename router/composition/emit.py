"""Printing the merged schema as a supergraph SDL: join v0.5 under link v1.0.

Sorted, so that equal inputs give equal text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from graphql.language import (
    BooleanValueNode,
    EnumValueNode,
    IntValueNode,
    StringValueNode,
    ValueNode,
    print_ast,
)
from graphql.language.print_string import print_string

from router.composition import spec
from router.composition.merge import Merged
from router.composition.model import ROOT_TYPES, Directive, Element, Field, InputValue, TypeDefinition

_JOIN_DEFINITIONS = {
    "join__directive": "(graphs: [join__Graph!], name: String!, args: join__DirectiveArguments) repeatable on SCHEMA"
    " | OBJECT | INTERFACE | FIELD_DEFINITION",
    "join__enumValue": "(graph: join__Graph!) repeatable on ENUM_VALUE",
    "join__field": "(graph: join__Graph, requires: join__FieldSet, provides: join__FieldSet, type: String, external:"
    " Boolean, override: String, usedOverridden: Boolean, overrideLabel: String, contextArguments:"
    " [join__ContextArgument!]) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION",
    "join__graph": "(name: String!, url: String!) on ENUM_VALUE",
    "join__implements": "(graph: join__Graph!, interface: String!) repeatable on OBJECT | INTERFACE",
    "join__type": "(graph: join__Graph!, key: join__FieldSet, extension: Boolean! = false, resolvable: Boolean! ="
    " true, isInterfaceObject: Boolean! = false) repeatable on OBJECT | INTERFACE | UNION | ENUM | INPUT_OBJECT |"
    " SCALAR",
    "join__unionMember": "(graph: join__Graph!, member: String!) repeatable on UNION",
    "link": "(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA",
}
_MACHINERY_TYPES = {
    "join__ContextArgument": "input join__ContextArgument {\n  name: String!\n  type: String!\n  context: String!\n"
    "  selection: join__FieldValue!\n}",
    "join__DirectiveArguments": "scalar join__DirectiveArguments",
    "join__FieldSet": "scalar join__FieldSet",
    "join__FieldValue": "scalar join__FieldValue",
    "link__Import": "scalar link__Import",
    "link__Purpose": "enum link__Purpose {\n"
    '  """\n  `SECURITY` features provide metadata necessary to securely resolve fields.\n  """\n  SECURITY\n\n'
    '  """\n  `EXECUTION` features provide metadata necessary for operation execution.\n  """\n  EXECUTION\n}',
}


@dataclass(slots=True)
class SupergraphFeatures:
    """What the supergraph links and defines beyond join: filled by the driver from what was merged."""

    names: dict[str, str] = field(default_factory=dict)
    """Merged federation directive -> the name it has in the supergraph."""
    links: list[str] = field(default_factory=list)
    """Printed ``@link`` applications of composed and contextual features."""
    definitions: dict[str, str] = field(default_factory=dict)
    """Directive name -> what follows the name in its definition."""
    scalars: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """Federation directives that ``definitions`` use."""


def emit(merged: Merged, features: SupergraphFeatures) -> str:
    """The supergraph SDL."""
    printer = _Printer(features.names)
    used = _used_directives(merged) | features.used
    definitions = dict(_JOIN_DEFINITIONS) | features.definitions
    types = dict(_MACHINERY_TYPES) | {scalar: f"scalar {scalar}" for scalar in features.scalars}
    links = [f'@link(url: "{spec.LINK_URL}")', f'@link(url: "{spec.JOIN_URL}", for: EXECUTION)']
    for url, directives in _features_by_url(used).items():
        links.append(_feature_link(url, directives, features.names))
        for directive in directives:
            definitions[features.names.get(directive.name, directive.name)] = directive.definition
            if directive.scalar:
                types[directive.scalar] = f"scalar {directive.scalar}"
    types["join__Graph"] = _graph_enum(merged)
    for type_ in merged.types.values():
        types[type_.name] = printer.type(type_)
    blocks = [_schema(merged, links + sorted(features.links), printer)]
    blocks += [f"directive @{name}{definitions[name]}" for name in sorted(definitions)]
    blocks += [types[name] for name in sorted(types, key=lambda name: (name.lower(), name))]
    return "\n\n".join(blocks) + "\n"


def _used_directives(merged: Merged) -> set[str]:
    return {d.name for element in _elements(merged) for d in element.directives if d.feature == "federation"}


def _elements(merged: Merged) -> Iterable[Element]:
    yield TypeDefinition("schema", directives=merged.schema_directives)
    for type_ in merged.types.values():
        yield type_
        yield from type_.values.values()
        yield from type_.inputs.values()
        for output in type_.fields.values():
            yield output
            yield from output.arguments.values()


def _features_by_url(used: set[str]) -> Mapping[str, Sequence[spec.MergedDirective]]:
    by_url: dict[str, list[spec.MergedDirective]] = {}
    for name in sorted(used & spec.MERGED.keys()):
        by_url.setdefault(spec.MERGED[name].url, []).append(spec.MERGED[name])
    return dict(sorted(by_url.items()))


def _feature_link(url: str, directives: Sequence[spec.MergedDirective], names: Mapping[str, str]) -> str:
    feature = url.split("/")[-2]
    arguments = [f'url: "{url}"']
    imports = []
    for directive in directives:
        name = names.get(directive.name, directive.name)
        if directive.name == feature:
            if name != feature:
                imports.append(f'{{name: "@{directive.name}", as: "@{name}"}}')
        elif name == directive.name:
            imports.append(f'"@{name}"')
        else:
            imports.append(f'{{name: "@{directive.name}", as: "@{name}"}}')
    if imports:
        arguments.append(f"import: [{', '.join(imports)}]")
    if directives[0].purpose:
        arguments.append(f"for: {directives[0].purpose}")
    return f"@link({', '.join(arguments)})"


def _schema(merged: Merged, links: Sequence[str], printer: _Printer) -> str:
    applied = [*links, *(printer.directive(d) for d in merged.schema_directives)]
    roots = [f"  {kind}: {name}" for kind, name in ROOT_TYPES.items() if name in merged.types]
    return "\n".join(["schema", *(f"  {text}" for text in applied), "{", *roots, "}"])


def _graph_enum(merged: Merged) -> str:
    values = [
        f"  {s.enum_value} @join__graph(name: {print_string(s.name)}, url: {print_string(s.url)})"
        for s in merged.subgraphs
    ]
    return "\n".join(["enum join__Graph {", *values, "}"])


class _Printer:
    """Prints elements, with merged directives under their supergraph names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def type(self, type_: TypeDefinition) -> str:
        keyword = {"object": "type"}.get(type_.kind, type_.kind)
        head = f"{keyword} {type_.name}"
        if type_.interfaces:
            head += " implements " + " & ".join(type_.interfaces)
        lines = [*_description(type_, ""), head]
        lines += [f"  {self.directive(d)}" for d in sorted(type_.directives, key=_join_first)]
        if type_.kind == "union":
            lines.append("  = " + " | ".join(type_.members))
        members = [self._field(f) for f in type_.fields.values()]
        members += [self._member(f, f"{f.name}: {self._value(f)}") for f in type_.inputs.values()]
        members += [self._member(v, v.name) for v in type_.values.values()]
        if members:
            lines += ["{", *members, "}"]
        return "\n".join(lines)

    def directive(self, directive: Directive) -> str:
        name = self._names.get(directive.name, directive.name) if directive.feature == "federation" else directive.name
        if not directive.arguments:
            return f"@{name}"
        arguments = ", ".join(f"{key}: {_value_text(value)}" for key, value in directive.arguments.items())
        return f"@{name}({arguments})"

    def _field(self, field_: Field) -> str:
        arguments = [self._argument(argument) for argument in field_.arguments.values()]
        if any("\n" in argument for argument in arguments):
            inner = "(\n" + "\n".join(f"    {argument}" for argument in arguments) + "\n  )"
        else:
            inner = f"({', '.join(arguments)})" if arguments else ""
        return self._member(field_, f"{field_.name}{inner}: {field_.type}")

    def _argument(self, argument: InputValue) -> str:
        text = " ".join([f"{argument.name}: {self._value(argument)}", *map(self.directive, argument.directives)])
        return "\n    ".join([*_description(argument, ""), text]) if argument.description else text

    def _value(self, value: InputValue) -> str:
        return value.type if value.default is None else f"{value.type} = {_value_text(value.default)}"

    def _member(self, element: Element, text: str) -> str:
        directives = [self.directive(d) for d in sorted(element.directives, key=_join_first)]
        return "\n".join([*_description(element, "  "), "  " + " ".join([text, *directives])])


def _join_first(directive: Directive) -> int:
    return (
        ("join__implements", "join__type").index(directive.name)
        if directive.name
        in (
            "join__implements",
            "join__type",
        )
        else 2 + (directive.feature != "join")
    )


def _description(element: Element, indent: str) -> list[str]:
    if not element.description:
        return []
    text = print_ast(StringValueNode(value=element.description, block=True))
    return [indent + line if line else line for line in text.split("\n")]


def _value_text(value: ValueNode) -> str:
    if isinstance(value, EnumValueNode | IntValueNode):
        return value.value
    if isinstance(value, BooleanValueNode):
        return "true" if value.value else "false"
    if isinstance(value, StringValueNode):
        return print_string(value.value)
    return print_ast(value)
