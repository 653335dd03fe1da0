"""@shareable stands on object types and their fields, once a declaration."""

from __future__ import annotations

from collections import Counter

from router.composition.model import Report, Subgraph
from router.errors import CompositionErrorCode as Code


def check_shareable_usage(subgraph: Subgraph, report: Report) -> None:
    """Interface fields resolve nothing, so they cannot be shared; a repetition can only be a mistake."""
    for type_, field in subgraph.fields():
        if type_.kind == "interface" and field.has("shareable"):
            message = f'"{type_.name}.{field.name}" belongs to an interface: only fields of objects can be @shareable.'
            report.error(Code.INVALID_SHAREABLE_USAGE, message, (subgraph, field))
        if type_.name == "Subscription" and field.has("shareable"):
            message = f'"{type_.name}.{field.name}" cannot be @shareable: a subscription has one source.'
            report.error(Code.INVALID_FIELD_SHARING, message, (subgraph, field))
        if len([d for d in field.applied("shareable") if d.node is not None]) > 1:
            message = f'"{type_.name}.{field.name}" has @shareable more than once.'
            report.error(Code.INVALID_SHAREABLE_USAGE, message, (subgraph, field))
    for type_ in subgraph.types.values():
        blocks = Counter(directive.block for directive in type_.applied("shareable"))
        if any(count > 1 for count in blocks.values()):
            message = f'One declaration of type "{type_.name}" has @shareable more than once.'
            report.error(Code.INVALID_SHAREABLE_USAGE, message, (subgraph, type_))
