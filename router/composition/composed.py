"""@composeDirective: custom directives of linked specifications that go on into the supergraph.

Source: Federation directive reference, @composeDirective.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphql.language import StringValueNode, print_ast

from router.composition import spec
from router.composition.merge_context import MergeContext, names
from router.composition.model import Directive, Link, Subgraph
from router.errors import CompositionErrorCode as Code


@dataclass(frozen=True, slots=True)
class ComposedDirective:
    """A custom directive in the supergraph."""

    local: str
    original: str
    link: Link
    signature: str


def composed_directives(context: MergeContext) -> list[ComposedDirective]:
    """Every directive that some subgraph composes, with the definition of its latest version."""
    wanted: dict[str, list[tuple[Subgraph, Link, str]]] = {}
    for subgraph in context.subgraphs:
        for applied in subgraph.schema_directives:
            if applied.feature == "federation" and applied.name == "composeDirective":
                found = _find(context, subgraph, applied)
                if found is not None:
                    link, original = found
                    wanted.setdefault(_text(applied).removeprefix("@"), []).append((subgraph, link, original))
    exporting: dict[tuple[str, str], set[str]] = {}
    for uses in wanted.values():
        for subgraph, link, original in uses:
            exporting.setdefault((link.identity, original), set()).add(subgraph.name)
    composed = [_settle(context, local, uses, exporting) for local, uses in sorted(wanted.items())]
    _hint_versions(context, {identity for identity, _ in exporting})
    return [directive for directive in composed if directive is not None]


def _find(context: MergeContext, subgraph: Subgraph, applied: Directive) -> tuple[Link, str] | None:
    text = _text(applied)

    def fail(message: str) -> None:
        where = f'@composeDirective(name: "{text}") in "{subgraph.name}"'
        context.report.error(Code.DIRECTIVE_COMPOSITION_ERROR, f"{where}: {message}.", (subgraph, applied))

    local = text.removeprefix("@")
    if not text.startswith("@"):
        fail('the name must start with "@"')
        return None
    if local in subgraph.directive_names.values():
        original = next(name for name, used in subgraph.directive_names.items() if used == local)
        if original in spec.MERGED:
            message = f'@composeDirective of "{text}" has no effect: it is composed anyway.'
            context.report.hint("DIRECTIVE_COMPOSITION_INFO", message, (subgraph, applied))
        else:
            fail("a federation directive cannot be composed")
        return None
    if local not in subgraph.directive_definitions:
        fail("no such directive is defined")
        return None
    feature, original = subgraph.custom_directives.get(local, ("", ""))
    link = next((link for link in subgraph.links if link.identity == feature), None)
    if link is None:
        fail("the directive belongs to no linked specification")
        return None
    return link, original


def _text(applied: Directive) -> str:
    value = applied.arguments.get("name")
    return value.value if isinstance(value, StringValueNode) else ""


def _hint_versions(context: MergeContext, composed: set[str]) -> None:
    """Specifications that stay behind may differ in version: that is worth a word, and no more."""
    linking: dict[str, list[tuple[Subgraph, Link]]] = {}
    for subgraph in context.subgraphs:
        for link in subgraph.links:
            if link.identity not in (composed | {spec.FEDERATION_IDENTITY, spec.LINK_IDENTITY}):
                linking.setdefault(link.identity, []).append((subgraph, link))
    for identity, uses in linking.items():
        if len({link.version[0] for _, link in uses}) > 1:
            message = f"{identity} is linked in different major versions in {names(s for s, _ in uses)}."
            where = ((s, Directive("link", node=link.node)) for s, link in uses)
            context.report.hint("DIRECTIVE_COMPOSITION_INFO", message, *where)


def _settle(
    context: MergeContext,
    local: str,
    uses: list[tuple[Subgraph, Link, str]],
    exporting: dict[tuple[str, str], set[str]],
) -> ComposedDirective | None:
    where = f'Composed directive "@{local}"'
    subgraphs = [(subgraph, None) for subgraph, _, _ in uses]
    if len({(link.identity, original) for _, link, original in uses}) > 1:
        message = f"{where} belongs to different specifications in {names(s for s, _, _ in uses)}."
        context.report.error(Code.DIRECTIVE_COMPOSITION_ERROR, message, *subgraphs)
        return None
    identity, original = uses[0][1].identity, uses[0][2]
    linking = [(s, link) for s in context.subgraphs for link in s.links if link.identity == identity]
    if len({link.version[0] for _, link in linking}) > 1:
        message = f"{where}: {identity} is linked in different major versions in {names(s for s, _ in linking)}."
        context.report.error(Code.DIRECTIVE_COMPOSITION_ERROR, message, *((s, None) for s, _ in linking))
        return None
    found = [
        (s, name) for s, _ in linking for name, known in s.custom_directives.items() if known == (identity, original)
    ]
    exporters = exporting[identity, original]
    if len(used := {name for s, name in found if s.name in exporters}) > 1:
        message = f"{where} has different names in {names(s for s, _ in linking)}: {', '.join(sorted(used))}."
        context.report.error(Code.DIRECTIVE_COMPOSITION_ERROR, message, *((s, None) for s, _ in linking))
        return None
    for subgraph, name in found:
        if name != local and subgraph.name not in exporters:
            message = f'{where} is called "@{name}" in "{subgraph.name}", which could not compose it under that name.'
            context.report.hint("DIRECTIVE_COMPOSITION_WARN", message, (subgraph, None))
    newest, link = max(
        ((s, link) for s, link in linking if local in s.directive_definitions), key=lambda item: item[1].version
    )
    definition = print_ast(newest.directive_definitions[local])
    hidden = newest.directive_names.get("inaccessible")
    if any(
        d.name.value == hidden for a in newest.directive_definitions[local].arguments or () for d in a.directives or ()
    ):
        message = f"{where} is part of a specification: its arguments cannot be @inaccessible."
        context.report.error(Code.DISALLOWED_INACCESSIBLE, message, (newest, None))
    return ComposedDirective(local, original, link, definition.partition(f"@{local}")[2])
