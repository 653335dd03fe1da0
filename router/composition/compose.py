"""The composition driver: subgraphs in, a supergraph SDL or every reason against it out. Pure: no I/O."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from router.composition.emit import emit
from router.composition.features import supergraph_features
from router.composition.merge import merge, name_graphs, prepare
from router.composition.merge_context import MergeContext
from router.composition.model import CompositionResult, Report, Subgraph, SubgraphInput
from router.composition.rules import MERGE_RULES, SUBGRAPH_RULES
from router.composition.rules.override import resolve_overrides
from router.composition.rules.schema import check_extensions
from router.composition.rules.sharing import check_shared_runtime_types
from router.composition.satisfiability import check_satisfiability
from router.composition.subgraph import read_subgraph
from router.composition.upgrade import upgrade
from router.composition.usage import mark_externals, used_fields
from router.errors import CompositionError, CompositionErrorCode
from router.supergraph.load import load_supergraph

__all__ = ["CompositionResult", "SubgraphInput", "compose"]


def compose(subgraphs: Sequence[SubgraphInput]) -> CompositionResult:
    """Compose subgraphs into one supergraph, or collect every reason why that cannot be done."""
    # Syntax trees are hundreds of thousands of objects that all stay: looking for garbage among them doubles the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _compose(subgraphs)
    finally:
        if collecting:
            gc.enable()


def _compose(subgraphs: Sequence[SubgraphInput]) -> CompositionResult:
    """Read, check, merge, check again, print.

    Errors are collected, stage by stage: a later stage runs only on what the earlier ones found sound, because it
    would otherwise report consequences instead of causes.
    """
    report = Report()
    linked = _read(subgraphs, report)
    if len(linked) == len(subgraphs):
        upgrade(linked, report)
    if any(error.code is CompositionErrorCode.TYPE_WITH_ONLY_UNUSED_EXTERNAL for error in report.errors):
        return _refused(report)
    for subgraph in linked:
        mark_externals(subgraph)
        for rule in SUBGRAPH_RULES:
            rule(subgraph, report)
    if report.errors:
        return _refused(report)
    context = MergeContext(linked, report, used={s.name: used_fields(s) for s in linked})
    name_graphs(linked)
    check_extensions(context)
    prepare(context)
    resolve_overrides(context)
    features = supergraph_features(context)
    merged = merge(context)
    for merge_rule in MERGE_RULES:
        merge_rule(context, merged)
    if report.errors:
        return _refused(report)
    check_shared_runtime_types(context, merged)
    sdl = emit(merged, features)
    check_satisfiability(context, load_supergraph(sdl))
    if report.errors:
        return _refused(report)
    return CompositionResult(sdl, [], report.hints)


def _read(inputs: Sequence[SubgraphInput], report: Report) -> list[Subgraph]:
    linked = []
    names: set[str] = set()
    for source in sorted(inputs, key=lambda source: source.name):
        if source.name in names:
            message = f'"{source.name}" is the name of more than one subgraph.'
            code = CompositionErrorCode.INVALID_SUBGRAPH_NAME
            report.errors.append(CompositionError(code, message, (source.name,)))
            continue
        names.add(source.name)
        subgraph, errors = read_subgraph(source)
        report.errors += errors
        if subgraph is not None:
            linked.append(subgraph)
    return linked


def _refused(report: Report) -> CompositionResult:
    return CompositionResult(None, report.errors, report.hints)
