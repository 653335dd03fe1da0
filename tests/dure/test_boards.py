"""Alert rules and boards name what exists. That it is really shown is seen where a shop runs: test_demo.py."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.dure.watched import BOARDS, DEPLOY, Watched, problems, seen, watched

EXPOSITION = """
# TYPE http_requests histogram
http_requests_bucket{code="200",le="1.0"} 1.0
http_requests_bucket{code="200",le="+Inf"} 1.0
http_requests_count{code="200"} 1.0
http_requests_sum{code="200"} 0.1
# TYPE reloads counter
reloads_total{outcome="refused"} 0.0
"""


@pytest.mark.parametrize(
    ("expression", "shown", "problem"),
    [
        ("sum by (code) (rate(http_requests_count[5m]))", "code", None),
        ("histogram_quantile(0.9, sum by (le, code) (rate(http_requests_bucket[5m])))", "code", None),
        ('increase(reloads_total{outcome="refused"}[5m]) > 0', "instance", None),
        ("up == 0", "job", None),
        ("topk(3, sum by (code) (http_requests_sum))", "code", None),
        ("rate(http_request_count[5m])", "", "no metric http_request_count"),
        ('http_requests_count{status="200"}', "", "no label status"),
        ('reloads_total{outcome="failed"}', "", "has no outcome failed"),
        ('http_requests_count{code=~"5.."}', "", "has no code like 5.."),
        ("sum by (status) (http_requests_count)", "", "grouped by status"),
        ("sum by (code) (http_requests_count)", "le", "no label le"),
        ("histogram_quantile(0.9, sum by (le) (http_requests_bucket))", "le", "no label le"),
        ("sum(http_requests_count)", "code", "no label code"),
        ("1 + sum(nothing)", "", "no metric nothing"),
    ],
)
def test_what_would_show_nothing_is_found(expression: str, shown: str, problem: str | None) -> None:
    found = problems(Watched("here", expression, frozenset(shown.split())), seen(EXPOSITION))
    assert bool(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_alerts_have_different_names_and_say_what_they_mean() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] in ("page", "ticket") for rule in rules)


def test_every_part_is_scraped() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for entry in job["static_configs"] for target in entry["targets"]]
    assert len(set(targets)) == 13


@pytest.mark.parametrize("name", ["router", "subgraphs", "shop"])
def test_boards_are_whole(name: str) -> None:
    """Panels have numbers of their own, a place that no other covers, and the source that is provisioned."""
    board = json.loads((BOARDS / f"{name}.json").read_text())
    panels = board["panels"]
    assert board["uid"] == name
    assert len({panel["id"] for panel in panels}) == len(panels)
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"] for source in sources}
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def test_all_of_it_is_read() -> None:
    """No rule and no panel is left out of what is looked for in a running shop."""
    text = "".join(file.read_text() for file in BOARDS.glob("*.json"))
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    assert len(list(watched())) == len(re.findall(r'"expr"', text)) + rules.count("expr:")


def test_boards_and_rules_are_mounted() -> None:
    """Where compose.yaml puts them is where they are looked for."""
    services = yaml.safe_load((DEPLOY.parent / "compose.yaml").read_text())["services"]
    volumes = (volume.split(":") for volume in services["grafana"]["volumes"])
    mounted = {inside: outside for outside, inside, *_ in volumes}
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/dure.yml").read_text())["providers"][0]
    assert mounted[provider["options"]["path"]] == "./deploy/grafana/boards"
    assert mounted["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    assert "./deploy/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
    assert services["router"]["environment"]["DURE_INTERNAL_HOST"] == "0.0.0.0"
