"""Placeholder."""

from router.composition.model import Report, Subgraph


def upgrade(subgraphs: list[Subgraph], report: Report) -> None:
    pass
