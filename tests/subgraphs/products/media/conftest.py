"""Products with a store of pictures: a folder, or a bucket behind a small S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from subgraphs.kit.ids import new_ulid
from subgraphs.kit.media.store import Folder, bucket
from subgraphs.kit.media.uploads import Uploads
from subgraphs.products.media.models import uploads as table
from subgraphs.products.media.uploads import FIELD, MAX_UNUSED
from subgraphs.products.settings import Settings
from tests.subgraphs.products.conftest import SECRET, World, open_world
from tests.support.s3 import S3, bucket_settings, serving_s3

BASE = "https://shop.example/media"
UPLOAD = """mutation($type: String!, $size: Int!) { mediaUploadCreate(contentType: $type, size: $size) {
  upload { id url method expiresAt } userErrors { code field } } }"""
PRODUCT = "product { id version media { url alt type } } userErrors { code field message }"
ENTER = f"""mutation($input: ProductInput!, $key: String!) {{
  productCreate(input: $input, idempotencyKey: $key) {{ {PRODUCT} }} }}"""
CHANGE = f"""mutation($id: ID!, $version: Int!, $input: ProductInput!) {{
  productUpdate(id: $id, version: $version, input: $input) {{ {PRODUCT} }} }}"""


@dataclass
class Gallery:
    """Products with a store, and how a browser reaches it."""

    world: World
    s3: S3 | None = None

    async def create(self, content_type: str = "image/png", size: int = 100, user: str | None = None) -> dict[str, Any]:
        given = {"type": content_type, "size": size}
        data = await self.world.data(UPLOAD, user or self.world.seller, **given)
        payload: dict[str, Any] = data["mediaUploadCreate"]
        return payload

    async def upload(self, data: bytes, content_type: str = "image/png", user: str | None = None) -> str:
        """Somebody asks for an address and sends this there; the upload's id."""
        made = (await self.create(content_type, user=user))["upload"]
        assert await self.send(made["url"], data) in (200, 204)
        return str(made["id"])

    async def send(self, url: str, data: bytes) -> int:
        async with self.client() as client:
            return (await client.put(url, content=data)).status_code

    async def shown(self, url: str) -> httpx2.Response:
        """What a visitor gets; a bucket's is looked up in it."""
        if self.s3 is None:
            async with self.client() as client:
                return await client.get(url)
        found = self.s3.objects.get("/pictures/pictures/" + urlsplit(url).path.rpartition("/")[2])
        return (
            httpx2.Response(200, content=found[0], headers={"content-type": found[1]})
            if found
            else httpx2.Response(404)
        )

    def client(self) -> httpx2.AsyncClient:
        inside = httpx2.ASGITransport(self.world.subgraph.app) if self.s3 is None else None
        return httpx2.AsyncClient(transport=inside)

    async def enter(self, *uploads: str, name: str = "Vitamin C", key: str | None = None) -> dict[str, Any]:
        """Enter a product with these pictures."""
        variant = {"sku": name.replace(" ", "-"), "name": name, "price": "1000", "weightGrams": 1}
        given = {"name": name, "type": "SUPPLEMENT", "categoryIds": [], "variants": [variant]}
        given["mediaUploadIds"] = list(uploads)
        made = await self.world.data(ENTER, self.world.seller, input=given, key=key or new_ulid())
        payload: dict[str, Any] = made["productCreate"]
        return payload

    async def change(
        self, product: dict[str, Any], uploads: list[str] | None, name: str = "Vitamin C"
    ) -> dict[str, Any]:
        variant = {"sku": name.replace(" ", "-"), "name": name, "price": "1000", "weightGrams": 1}
        given: dict[str, Any] = {"name": name, "type": "SUPPLEMENT", "categoryIds": [], "variants": [variant]}
        if uploads is not None:
            given["mediaUploadIds"] = uploads
        version = {"id": product["id"], "version": product["version"]}
        made = await self.world.data(CHANGE, self.world.seller, input=given, **version)
        payload: dict[str, Any] = made["productUpdate"]
        return payload

    def media(self) -> Uploads:
        """The use cases as the background work has them, on the same store."""
        settings = self.world.shop.settings
        url = settings.media_url
        store = bucket(settings, url) if self.s3 else Folder(self.folder, url, SECRET)
        shop = self.world.shop
        return Uploads(shop.database, table, store, shop.now, field=FIELD, max_unused=MAX_UNUSED)

    @property
    def folder(self) -> Path:
        return Path(self.world.database._writer.url.database or "").parent / "media"


@pytest.fixture
async def in_folder(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Gallery]:
    async for world in open_world(sqlite_database_url, tmp_path, Settings(media_url=BASE)):
        yield Gallery(world)


@pytest.fixture
async def in_bucket(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Gallery]:
    async with serving_s3() as (s3, endpoint):
        settings = Settings(media_url=BASE, **bucket_settings(endpoint))
        async for world in open_world(sqlite_database_url, tmp_path, settings):
            yield Gallery(world, s3)


@pytest.fixture(params=["in_folder", "in_bucket"])
def gallery(request: pytest.FixtureRequest) -> Gallery:
    """Both in turn."""
    found: Gallery = request.getfixturevalue(request.param)
    return found
