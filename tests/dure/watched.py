"""What operators watch: the expressions of alert rules and boards, and what a running process must show for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import promql_parser as promql
import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARDS = DEPLOY / "grafana" / "boards"
SCRAPED = frozenset(("job", "instance"))
"""Labels that Prometheus adds to everything."""
PROMETHEUS = {"up": {label: set[str]() for label in SCRAPED}}
"""What Prometheus itself knows of its targets."""

Known = Mapping[str, Mapping[str, set[str]]]
"""Metrics by name: their labels, with the values seen."""


@dataclass(frozen=True)
class Watched:
    """An expression, where it stands, and the labels that are shown of its result."""

    where: str
    expression: str
    shown: frozenset[str]


def watched() -> Iterator[Watched]:
    """Every expression of the alert rules and of the boards."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        texts = " ".join(rule["annotations"].values())
        yield Watched(rule["alert"], rule["expr"], frozenset(re.findall(r"\$labels\.(\w+)", texts)))
    for board in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel["targets"]:
                expression = re.sub(r"\$__(rate_interval|range)", "5m", target["expr"])
                shown = frozenset(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
                yield Watched(f"{board.stem}: {panel['title']}", expression, shown)


def seen(exposition: str) -> dict[str, dict[str, set[str]]]:
    """What a process shows."""
    known: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = known.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return known


def problems(one: Watched, known: Known) -> list[str]:
    """What of an expression would never show anything: metrics, labels, and label values that are not there."""
    return [f"{one.where}: {problem}" for problem in _problems(one, {**PROMETHEUS, **known})]


def _problems(one: Watched, known: Known) -> Iterator[str]:
    expression = promql.parse(one.expression)
    for selector in _selectors(expression):
        labels = known.get(selector.name)
        if labels is None:
            yield f"no metric {selector.name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels.keys() | SCRAPED:
                yield f"{selector.name} has no label {matcher.name}"
            elif matcher.op == promql.MatchOp.Equal and matcher.value not in labels.get(matcher.name, ()):
                yield f"{selector.name} has no {matcher.name} {matcher.value}"
            elif matcher.op == promql.MatchOp.Re and not any(
                re.fullmatch(matcher.value, value) for value in labels.get(matcher.name, ())
            ):
                yield f"{selector.name} has no {matcher.name} like {matcher.value}"
    yield from _grouped_by_nothing(expression, known)
    for label in sorted(one.shown - _labels(expression, known)):
        yield f"its result has no label {label}"


def _children(expression: promql.Expr) -> list[promql.Expr]:
    match expression:
        case promql.BinaryExpr():
            return [expression.lhs, expression.rhs]
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [expression.expr]
        case promql.Call():
            return list(expression.args)
        case promql.MatrixSelector():
            return [expression.vector_selector]
        case _:
            return []


def _selectors(expression: promql.Expr) -> Iterator[promql.VectorSelector]:
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for child in _children(expression):
        yield from _selectors(child)


def _grouped_by_nothing(expression: promql.Expr, known: Known) -> Iterator[str]:
    if isinstance(expression, promql.AggregateExpr) and expression.modifier is not None:
        for label in sorted(set(expression.modifier.labels) - _labels(expression.expr, known)):
            yield f"grouped by {label}, which is not there"
    for child in _children(expression):
        yield from _grouped_by_nothing(child, known)


def _labels(expression: promql.Expr, known: Known) -> set[str]:
    """The labels of a result. Of operations on two, those of the left."""
    match expression:
        case promql.VectorSelector():
            return set(known.get(expression.name, {})) | SCRAPED
        case promql.AggregateExpr() if str(expression.op) not in ("topk", "bottomk"):
            modifier = expression.modifier
            return set(modifier.labels) if modifier is not None else set()
        case promql.Call() if expression.func.name == "histogram_quantile":
            return _labels(expression.args[1], known) - {"le"}
        case _:
            return next((found for child in _children(expression) if (found := _labels(child, known))), set())
