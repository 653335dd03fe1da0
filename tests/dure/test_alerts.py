"""Alert rules name what exists."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from db.telemetry import Meters
from router.telemetry import Telemetry

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
NAME = re.compile(r"\b(?:http|router|dure|messaging|db|graphql)_[a-z_]+\b")


def metrics() -> set[str]:
    registry = CollectorRegistry()
    Meters(registry)
    Telemetry(registry)
    return set(registry._names_to_collectors)


def test_every_metric_of_an_alert_is_measured() -> None:
    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        labels = set(re.findall(r"(\w+)=~?\"", rule["expr"]))
        named = set(NAME.findall(rule["expr"])) - labels
        assert named, rule["alert"]
        assert named <= metrics(), rule["alert"]


def test_an_unknown_metric_would_be_found() -> None:
    assert "dure_no_such_thing" not in metrics()


def test_every_part_is_scraped() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for entry in job["static_configs"] for target in entry["targets"]]
    assert len(set(targets)) == 13
