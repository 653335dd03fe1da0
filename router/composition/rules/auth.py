"""@authenticated, @requiresScopes and @policy: not on interfaces, and no way around them through required data.

Source: Federation directive reference. An interface asks for what all its implementations ask for together; a field
that is computed from others asks for at least what they ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import GraphQLSyntaxError
from graphql.language import StringValueNode

from router.composition.contexts import context_types, parse_context_value
from router.composition.field_sets import Selected, field_set_text, parse_field_set, selected
from router.composition.merge import Merged
from router.composition.merge_context import MergeContext
from router.composition.merge_directives import Alternatives, all_of, alternatives
from router.composition.model import Element, Field, Report, Subgraph, TypeDefinition, base_type
from router.errors import CompositionErrorCode as Code

_AUTH = ("authenticated", "requiresScopes", "policy")


def check_auth_places(subgraph: Subgraph, report: Report) -> None:
    """Interfaces get their requirements from their implementations."""
    for type_ in subgraph.types.values():
        if type_.kind != "interface" and not type_.has("interfaceObject"):
            continue
        named: list[tuple[str, Element]] = [(f'Interface "{type_.name}"', type_)]
        if type_.kind == "interface":
            named += [(f'Interface field "{type_.name}.{field.name}"', field) for field in type_.fields.values()]
        for where, element in named:
            for name in _AUTH:
                if element.has(name):
                    message = f"{where} cannot have @{name}: put it on the implementations."
                    report.error(Code.AUTH_REQUIREMENTS_APPLIED_ON_INTERFACE, message, (subgraph, element))


def check_transitive_auth(context: MergeContext, merged: Merged) -> None:
    """What a field reads by @requires or @fromContext must not need more rights than the field itself."""
    if not any(name in s.applied_directives() for s in context.subgraphs for name in _AUTH):
        return
    for subgraph in context.subgraphs:
        contexts = context_types(subgraph)
        for type_, field in subgraph.fields():
            for directive, selections in _reads(subgraph, contexts, type_, field):
                _check_read(context, merged, (subgraph, type_, field), directive, selections)


def _reads(
    subgraph: Subgraph, contexts: dict[str, list[TypeDefinition]], type_: TypeDefinition, field: Field
) -> Iterator[tuple[str, list[Selected]]]:
    for applied in field.applied("requires"):
        if (text := field_set_text(applied)) is not None:
            yield "requires", list(selected(subgraph, type_, parse_field_set(text)))
    for argument in field.arguments.values():
        for applied in argument.applied("fromContext"):
            value = applied.arguments.get("field")
            if isinstance(value, StringValueNode):
                name, selection = parse_context_value(value.value)
                try:
                    parsed = parse_field_set(selection)
                except GraphQLSyntaxError:
                    continue
                for setter in contexts.get(name, ()):
                    yield "fromContext", list(selected(subgraph, setter, parsed))


def _check_read(
    context: MergeContext,
    merged: Merged,
    reader: tuple[Subgraph, TypeDefinition, Field],
    directive: str,
    selections: list[Selected],
) -> None:
    subgraph, type_, field = reader
    own = _field_requirements(merged, type_.name, field.name, returned=False)
    for parent, read, _ in selections:
        needed = _field_requirements(merged, parent.name, read.name, returned=True)
        if not own.covers(needed):
            message = (
                f'Field "{type_.name}.{field.name}" reads "{parent.name}.{read.name}" by @{directive}, but does not'
                " have the authorization requirements of that field."
            )
            context.report.error(Code.MISSING_TRANSITIVE_AUTH_REQUIREMENTS, message, (subgraph, field))


@dataclass(frozen=True, slots=True)
class _Requirements:
    authenticated: bool
    scopes: Alternatives
    policies: Alternatives

    def covers(self, needed: _Requirements) -> bool:
        """Whether whoever meets these also meets the others."""
        return (
            (self.authenticated or not needed.authenticated)
            and _implies(self.scopes, needed.scopes)
            and _implies(self.policies, needed.policies)
        )


def _implies(own: Alternatives, needed: Alternatives) -> bool:
    return not needed or (bool(own) and all(any(need <= have for need in needed) for have in own))


def _field_requirements(merged: Merged, type_name: str, field_name: str, *, returned: bool) -> _Requirements:
    """Of the field and the type it stands on; with ``returned`` also of the type it returns."""
    elements: list[Element] = []
    if (type_ := merged.types.get(type_name)) is not None:
        elements.append(type_)
        if (field := type_.fields.get(field_name)) is not None:
            elements.append(field)
            if returned and (target := merged.types.get(base_type(field.type))) is not None:
                elements.append(target)
    return _Requirements(
        any(element.has("authenticated") for element in elements),
        _together(elements, "requiresScopes", "scopes"),
        _together(elements, "policy", "policies"),
    )


def _together(elements: list[Element], name: str, argument: str) -> Alternatives:
    groups = [alternatives(d.arguments.get(argument)) for element in elements for d in element.applied(name)]
    return all_of(groups) if groups else frozenset()
