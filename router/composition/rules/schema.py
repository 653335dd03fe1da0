"""What the supergraph as a whole needs: a query root, a definition for every extension."""

from __future__ import annotations

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext, names
from router.composition.model import ROOT_TYPES
from router.errors import CompositionErrorCode as Code


def check_query_root(context: MergeContext, merged: Merged) -> None:
    """Some subgraph has to offer a query."""
    query = merged.types.get("Query")
    if query is None or not query.fields:
        context.report.error(Code.NO_QUERIES, "No subgraph has any query: the supergraph needs a query root.")


def check_extensions(context: MergeContext) -> None:
    """An extension extends something that some subgraph defines. Root types need no definition.

    What is not defined is not merged either, so as not to report what follows from it.
    """
    for name in sorted({name for subgraph in context.subgraphs for name in subgraph.types}):
        sources = context.sources(name)
        if name not in ROOT_TYPES.values() and all(type_.is_extension for _, type_ in sources):
            message = f'Type "{name}" is only extended, in {names(s for s, _ in sources)}: no subgraph defines it.'
            context.report.error(Code.EXTENSION_WITH_NO_BASE, message, *sources)
            context.undefined.add(name)
