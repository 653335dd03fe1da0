"""Core schema linking: which specification each directive and type name of a subgraph comes from.

Source: core schemas, link v1.0 (https://specs.apollo.dev/link/v1.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graphql.language import (
    ConstDirectiveNode,
    DirectiveNode,
    DocumentNode,
    ListValueNode,
    ObjectValueNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    StringValueNode,
    ValueNode,
)

from router.composition import spec
from router.composition.model import Link, place_of
from router.errors import CompositionError, CompositionErrorCode

_VERSION = re.compile(r"v(\d+)\.(\d+)")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SPECS = "https://specs.apollo.dev/"
ALSO_FEDERATION = {
    _SPECS + name: tuple(merged.name for merged in spec.MERGED.values() if f"/{name}/" in merged.url)
    for name in ("tag", "inaccessible", "authenticated", "requiresScopes", "policy", "cost")
}
"""Specifications whose directives federation also offers under its own name."""


@dataclass(slots=True)
class Linking:
    """The result of reading a document's links."""

    links: list[Link] = field(default_factory=list)
    version: tuple[int, int] = spec.FEDERATION_1
    link_name: str = "link"
    directives: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name used here -> (feature, name in its specification), for link and federation directives."""
    custom: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The same for directives of other specifications, as far as imports name them."""
    scalars: dict[str, str] = field(default_factory=dict)
    """Federation scalar -> the name used here."""
    errors: list[CompositionError] = field(default_factory=list)

    @property
    def is_federation_1(self) -> bool:
        """Whether the schema has no federation link."""
        return self.version == spec.FEDERATION_1


def read_links(document: DocumentNode, subgraph: str) -> Linking:
    """Find the ``@link`` applications on the schema and what each name then means."""
    linking = Linking()
    nodes = _link_nodes(document)
    for node in nodes:
        _read_link(node, subgraph, linking)
    _check_names_are_unique(linking, subgraph)
    for link in linking.links:
        if link.identity == spec.FEDERATION_IDENTITY:
            linking.version = link.version
    _resolve_names(linking, subgraph)
    return linking


def _link_nodes(document: DocumentNode) -> list[DirectiveNode]:
    applied = [
        directive
        for definition in document.definitions
        if isinstance(definition, SchemaDefinitionNode | SchemaExtensionNode)
        for directive in definition.directives or ()
    ]
    name = next((_link_alias(d) for d in applied if _link_alias(d)), "link")
    return [d for d in applied if d.name.value == name and _string(d, "url") is not None]


def _link_alias(node: ConstDirectiveNode) -> str | None:
    """The name under which the link specification links itself, if this is that application."""
    url = _string(node, "url") or ""
    if url.startswith(spec.LINK_IDENTITY + "/") and (_string(node, "as") or "link") == node.name.value:
        return node.name.value
    return None


def _string(node: DirectiveNode, name: str) -> str | None:
    for argument in node.arguments or ():
        if argument.name.value == name and isinstance(argument.value, StringValueNode):
            return argument.value.value
    return None


def _read_link(node: DirectiveNode, subgraph: str, linking: Linking) -> None:
    def fail(code: CompositionErrorCode, message: str) -> None:
        linking.errors.append(CompositionError(code, message, (subgraph,), place_of(subgraph, node)))

    url = _string(node, "url") or ""
    identity, _, version_text = url.rpartition("/")
    version_match = _VERSION.fullmatch(version_text)
    if version_match is None or "://" not in identity:
        fail(CompositionErrorCode.INVALID_LINK_IDENTIFIER, f'"{url}" names no specification with a version (.../vX.Y).')
        return
    version = (int(version_match[1]), int(version_match[2]))
    name = identity.rpartition("/")[2]
    namespace = _string(node, "as") or name
    if identity == spec.FEDERATION_IDENTITY and not (2, 0) <= version <= spec.LATEST_FEDERATION_READ:
        message = f"Federation v{version[0]}.{version[1]} is not a known version."
        fail(CompositionErrorCode.UNKNOWN_FEDERATION_LINK_VERSION, message)
        return
    if identity == spec.LINK_IDENTITY and version != (1, 0):
        fail(CompositionErrorCode.UNKNOWN_LINK_VERSION, f"link v{version[0]}.{version[1]} is not a known version.")
        return
    if not _NAME.fullmatch(namespace):
        fail(CompositionErrorCode.INVALID_LINK_DIRECTIVE_USAGE, f'"{namespace}" is not a name, so no prefix either.')
        return
    imports: dict[str, str] = {}
    for argument in node.arguments or ():
        if argument.name.value == "import":
            for problem in _read_imports(argument.value, imports):
                fail(CompositionErrorCode.INVALID_LINK_DIRECTIVE_USAGE, problem)
    known = _importable(identity, version)
    if known is not None:
        for original in imports.values():
            if original not in known:
                problem = f'Cannot import "{original}": {url} has no such element.'
                fail(CompositionErrorCode.INVALID_LINK_DIRECTIVE_USAGE, problem)
    linking.links.append(Link(identity, name, version, namespace, imports, node))


def _importable(identity: str, version: tuple[int, int]) -> set[str] | None:
    if identity == spec.FEDERATION_IDENTITY:
        scalars = {name for name, since in spec.SCALARS.items() if since <= version}
        return {f"@{name}" for name in spec.available(version)} | scalars
    if identity == spec.LINK_IDENTITY:
        return {"@link", "Purpose", "Import"}
    return None


def _read_imports(value: ValueNode, imports: dict[str, str]) -> list[str]:
    if not isinstance(value, ListValueNode):
        return ["The import argument must be a list."]
    problems = []
    for item in value.values:
        if isinstance(item, StringValueNode):
            members, count = {"name": item.value}, 1
        elif isinstance(item, ObjectValueNode):
            fields = item.fields or ()
            members = {f.name.value: f.value.value for f in fields if isinstance(f.value, StringValueNode)}
            count = len(fields)
        else:
            problems.append("An import is a string or an object with a name.")
            continue
        name, alias = members.get("name"), members.get("as")
        if name is None or len(members) != count or members.keys() - {"name", "as"}:
            problems.append('An import object has a "name" and perhaps an "as", both strings.')
        elif not _NAME.fullmatch(name.removeprefix("@")) or not _NAME.fullmatch((alias or name).removeprefix("@")):
            problems.append(f'Import "{name}"{f" as {alias}" if alias else ""} is not a name.')
        elif alias is not None and alias.startswith("@") != name.startswith("@"):
            problems.append(f'Import "{name}" cannot be renamed to "{alias}": both or neither start with "@".')
        else:
            imports[alias or name] = name
    return problems


def _check_names_are_unique(linking: Linking, subgraph: str) -> None:
    seen: dict[str, Link] = {}
    for link in linking.links:
        other = seen.setdefault(link.namespace, link)
        if other is not link:
            linking.errors.append(
                CompositionError(
                    CompositionErrorCode.INVALID_LINK_DIRECTIVE_USAGE,
                    f'{link.url} and {other.url} would both be called "{link.namespace}" here.',
                    (subgraph,),
                    place_of(subgraph, link.node),
                )
            )


def _resolve_names(linking: Linking, subgraph: str) -> None:
    if linking.is_federation_1:
        for name in spec.FEDERATION_1_DIRECTIVES:
            linking.directives[name] = ("federation", name)
        linking.scalars = {"FieldSet": "_FieldSet"}
    linking.directives["link"] = ("link", "link")
    for link in linking.links:
        if link.identity == spec.LINK_IDENTITY:
            linking.link_name = link.namespace
            linking.directives.pop("link", None)
            linking.directives[link.namespace] = ("link", "link")
        elif link.identity == spec.FEDERATION_IDENTITY:
            _name_directives(linking, link, tuple(spec.available(link.version)))
            for scalar in spec.SCALARS:
                local = next((n for n, original in link.imports.items() if original == scalar), None)
                linking.scalars[scalar] = local or f"{link.namespace}__{scalar}"
        elif link.identity in ALSO_FEDERATION:
            _name_directives(linking, link, ALSO_FEDERATION[link.identity])
        else:
            linking.custom[link.namespace] = (link.identity, link.name)
            for local, original in link.imports.items():
                if local.startswith("@"):
                    linking.custom[local[1:]] = (link.identity, original[1:])


def resolve_directive(linking: Linking, name: str) -> tuple[str, str]:
    """(feature, name in its specification) of a directive name used in the document; no feature for its own."""
    if name in linking.directives:
        return linking.directives[name]
    if name in linking.custom:
        return linking.custom[name]
    namespace, separator, rest = name.partition("__")
    if separator:
        for link in linking.links:
            if link.namespace == namespace:
                return link.identity, rest
    return "", name


def _name_directives(linking: Linking, link: Link, names: tuple[str, ...]) -> None:
    aliases = {original: local for local, original in link.imports.items()}
    for name in names:
        if alias := aliases.get(f"@{name}"):
            local = alias.removeprefix("@")
        elif name == link.name:
            local = link.namespace
        else:
            local = f"{link.namespace}__{name}"
        linking.directives.setdefault(local, ("federation", name))
