"""Paths and clients: what a key may run is its manifest, whichever way it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.app import RouterApp
from router.settings import Settings
from tests.router.pipeline.client import Response, call
from tests.router.pipeline.persisting import client, manifest
from tests.router.pipeline.subgraphs import router, subgraphs
from tests.router.rest.test_endpoint import ENDPOINTS, OPERATIONS, bindings

KEY = "the-partners-key"


def served(folder: Path, **settings: Any) -> RouterApp:
    """A router whose partner may run one of the operations that paths are bound to."""
    own = manifest(folder / "partner.json", Product=OPERATIONS["Product"])
    (folder / "rest").mkdir()
    rest = bindings(folder / "rest", *ENDPOINTS)
    clients = {"partner": client(KEY, own, safelist=True)}
    return router(subgraphs(), Settings.model_validate({"rest": rest, "clients": clients, **settings}))


async def get(app: RouterApp, path: str, key: str | None) -> Response:
    return await call(app, "GET", path, headers={"x-api-key": key} if key else {})


async def put(app: RouterApp, key: str | None) -> Response:
    headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
    return await call(app, "PUT", "/me", body=b'{"name": "Eva"}', headers=headers)


@pytest.mark.parametrize("everybody", [False, True])
async def test_a_safelisted_key_opens_the_paths_of_its_manifest_only(tmp_path: Path, everybody: bool) -> None:
    """Those without a key use all paths, also where free documents are refused: the operator bound them."""
    app = served(tmp_path, safelist=everybody)
    assert (await get(app, "/products/a", KEY)).json == {"upc": "a", "name": "Table"}
    refused = await put(app, KEY)
    assert (refused.status, refused.json["code"]) == (403, "PERSISTED_QUERY_ONLY")
    assert (await put(app, None)).json == {"name": "Eva"}


async def test_an_unknown_key_opens_nothing(tmp_path: Path) -> None:
    refused = await get(served(tmp_path), "/products/a", "a guess")
    assert (refused.status, refused.json["code"]) == (401, "UNAUTHENTICATED")
