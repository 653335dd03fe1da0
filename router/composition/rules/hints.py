"""Hints on what is legal, and perhaps not meant: types described differently, links newer than federation's."""

from __future__ import annotations

from router.composition import spec
from router.composition.link import ALSO_FEDERATION
from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.model import ROOT_TYPES, Directive, Report, Subgraph, TypeDefinition


def hint_implied_version(subgraph: Subgraph, report: Report) -> None:
    """A specification linked by itself may be newer than the federation version that is linked beside it."""
    if subgraph.version == spec.FEDERATION_1:
        return
    for link in subgraph.links:
        since = max((spec.BY_NAME[name].since for name in ALSO_FEDERATION.get(link.identity, ())), default=(2, 0))
        if since > subgraph.version:
            linked, implied = (f"v{major}.{minor}" for major, minor in (subgraph.version, since))
            message = (
                f'Subgraph "{subgraph.name}" links federation {linked}, but {link.url} needs {implied}, which is used.'
            )
            where = Directive("link", node=link.node)
            report.hint("IMPLICITLY_UPGRADED_FEDERATION_VERSION", message, (subgraph, where))


def hint_inconsistent_types(context: MergeContext, merged: Merged) -> None:
    """Entities that are values elsewhere; values and interfaces with different fields."""
    for type_ in merged.types.values():
        if type_.kind in ("object", "interface") and type_.name not in ROOT_TYPES.values():
            _hint(context, type_)


def _hint(context: MergeContext, type_: TypeDefinition) -> None:
    sources = context.sources(type_.name)
    keyless = [s for s, t in sources if not t.has("key")]
    if len(sources) < 2:
        return
    if len(keyless) < len(sources):
        if keyless and type_.kind == "object":
            message = f'Type "{type_.name}" is an entity, but has no @key in {names(keyless)}.'
            context.report.hint("INCONSISTENT_ENTITY", message, *sources)
        return
    code = f"INCONSISTENT_{type_.kind.upper()}_VALUE_TYPE_FIELD"
    for field in type_.fields:
        absent = [s for s, t in sources if field not in t.fields]
        if absent:
            present = names(s for s, t in sources if field in t.fields)
            message = f'Field "{type_.name}.{field}" is defined in {present} but not in {names(absent)}.'
            context.report.hint(code, message, *sources)
