"""Which specifications the supergraph links, and under which names: merged, contextual and composed directives."""

from __future__ import annotations

from router.composition import spec
from router.composition.emit import SupergraphFeatures
from router.composition.merge_context import MergeContext, names
from router.composition.model import Subgraph
from router.errors import CompositionErrorCode as Code


def supergraph_features(context: MergeContext) -> SupergraphFeatures:
    """Collect the names and links, reporting where subgraphs disagree."""
    features = SupergraphFeatures()
    for name in spec.MERGED:
        users = [s for s in context.subgraphs if name in s.applied_directives()]
        chosen: dict[str, list[Subgraph]] = {}
        for subgraph in users:
            chosen.setdefault(subgraph.directive_names[name], []).append(subgraph)
        if len(chosen) > 1:
            described = " but ".join(f'"@{local}" in {names(using)}' for local, using in sorted(chosen.items()))
            message = f'Directive "@{name}" has different names in different subgraphs: {described}.'
            context.report.error(Code.LINK_IMPORT_NAME_MISMATCH, message, *((s, None) for s in users))
        elif chosen:
            features.names[name] = next(iter(chosen))
    return features
