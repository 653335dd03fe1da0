"""A router on a port, judged from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.router import ROOT, serving


@pytest.fixture(scope="module")
def router_url() -> Iterator[str]:
    """``python -m router serve --dev`` over the shop's supergraph; its subgraphs are not there."""
    with serving(ROOT / "schema/supergraph.graphql", "--dev") as url:
        yield url
