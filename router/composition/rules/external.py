"""@external is used where it means something, and on nothing else."""

from __future__ import annotations

from router.composition.contexts import context_fields
from router.composition.model import Report, Subgraph
from router.composition.spec import MERGED
from router.composition.usage import used_fields
from router.errors import CompositionErrorCode as Code


def check_externals(subgraph: Subgraph, report: Report) -> None:
    """Unused externals, externals on interfaces, externals that carry what only an owner may say."""
    used = used_fields(subgraph) | context_fields(subgraph)
    for type_, field in subgraph.fields():
        if not field.has("external"):
            continue
        where = f'Field "{type_.name}.{field.name}"'
        if type_.kind == "interface":
            message = f"{where} belongs to an interface, which resolves nothing: it cannot be @external."
            report.error(Code.EXTERNAL_ON_INTERFACE, message, (subgraph, field))
        if (type_.name, field.name) not in used:
            message = f"{where} is @external, but no @key, @requires, @provides or interface uses it: remove it."
            report.error(Code.EXTERNAL_UNUSED, message, (subgraph, field))
        if field.has("provides"):
            message = f"{where} is @external: it is not resolved here, so it has nothing to say by @provides."
            report.error(Code.EXTERNAL_COLLISION_WITH_ANOTHER_DIRECTIVE, message, (subgraph, field))
        for directive in field.directives:
            if directive.feature == "federation" and directive.name in MERGED:
                message = f"{where} is @external: only the subgraphs that resolve it can give it @{directive.name}."
                report.error(Code.MERGED_DIRECTIVE_APPLICATION_ON_EXTERNAL, message, (subgraph, directive))
