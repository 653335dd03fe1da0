"""Which specifications the supergraph links, and under which names: merged, contextual and composed directives."""

from __future__ import annotations

from router.composition import spec
from router.composition.composed import composed_directives
from router.composition.emit import SupergraphFeatures
from router.composition.executable import executable_directives, hides_arguments
from router.composition.merge_context import MergeContext, names
from router.composition.model import Subgraph
from router.errors import CompositionErrorCode as Code

_CONTEXT_DEFINITIONS = {
    "context": "(name: String!) repeatable on INTERFACE | OBJECT | UNION",
    "context__fromContext": "(field: context__ContextFieldValue) on ARGUMENT_DEFINITION",
}


def supergraph_features(context: MergeContext) -> SupergraphFeatures:
    """Collect names, links and definitions, reporting where subgraphs disagree; tells merging what is composed."""
    features = SupergraphFeatures()
    used = {subgraph.name: subgraph.applied_directives() for subgraph in context.subgraphs}
    for subgraph in context.subgraphs:
        if hides_arguments(subgraph):
            used[subgraph.name].add("inaccessible")
            features.used.add("inaccessible")
    for name in spec.MERGED:
        _settle_name(context, features, name, [s for s in context.subgraphs if name in used[s.name]])
    everywhere = set().union(*used.values())
    if everywhere & {"context", "fromContext"}:
        features.links.append('@link(url: "https://specs.apollo.dev/context/v0.1", for: SECURITY)')
        features.definitions |= _CONTEXT_DEFINITIONS
        features.scalars.append("context__ContextFieldValue")
    if "cacheTag" in everywhere:
        features.links.append('@link(url: "https://specs.apollo.dev/cacheTag/v0.1", for: EXECUTION)')
    features.definitions |= executable_directives(context, features.names.get("inaccessible"))
    _add_composed(context, features)
    return features


def _settle_name(context: MergeContext, features: SupergraphFeatures, name: str, users: list[Subgraph]) -> None:
    chosen: dict[str, list[Subgraph]] = {}
    for subgraph in users:
        chosen.setdefault(subgraph.directive_names[name], []).append(subgraph)
    if len(chosen) > 1:
        described = " but ".join(f'"@{local}" in {names(using)}' for local, using in sorted(chosen.items()))
        message = f'Directive "@{name}" has different names in different subgraphs: {described}.'
        context.report.error(Code.LINK_IMPORT_NAME_MISMATCH, message, *((s, None) for s in users))
    elif chosen:
        features.names[name] = next(iter(chosen))


def _add_composed(context: MergeContext, features: SupergraphFeatures) -> None:
    imports: dict[str, list[str]] = {}
    for directive in composed_directives(context):
        context.composed[directive.link.identity, directive.original] = directive.local
        features.definitions[directive.local] = directive.signature
        if directive.local == directive.original:
            imported = f'"@{directive.local}"'
        else:
            imported = f'{{name: "@{directive.original}", as: "@{directive.local}"}}'
        imports.setdefault(directive.link.url, []).append(imported)
    features.links += [f'@link(url: "{url}", import: [{", ".join(items)}])' for url, items in imports.items()]
