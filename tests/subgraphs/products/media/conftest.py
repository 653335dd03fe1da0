"""Products with a store of pictures: a folder, or a bucket behind a small S3."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from pydantic import SecretStr

from subgraphs.kit.ids import new_ulid
from subgraphs.products.media.store import Folder, bucket
from subgraphs.products.media.uploads import Uploads
from subgraphs.products.settings import Settings
from tests.subgraphs.products.conftest import SECRET, World, open_world
from tests.support.process import free_port

BASE = "https://shop.example/media"
UPLOAD = """mutation($type: String!, $size: Int!) { mediaUploadCreate(contentType: $type, size: $size) {
  upload { id url method expiresAt } userErrors { code field } } }"""
PRODUCT = "product { id version media { url alt type } } userErrors { code field message }"
ENTER = f"""mutation($input: ProductInput!, $key: String!) {{
  productCreate(input: $input, idempotencyKey: $key) {{ {PRODUCT} }} }}"""
CHANGE = f"""mutation($id: ID!, $version: Int!, $input: ProductInput!) {{
  productUpdate(id: $id, version: $version, input: $input) {{ {PRODUCT} }} }}"""


class S3:
    """As much of S3 as is used: objects are put, read and deleted; addresses must be signed by somebody."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.signed: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        path, method = scope["path"], scope["method"]
        by_address = "X-Amz-Signature" in query
        if not by_address and "AWS4-HMAC-SHA256" not in headers.get("authorization", ""):
            return await self._answer(send, 403)
        if by_address:
            self.signed.append(path)
        if method == "PUT":
            self.objects[path] = (body, headers.get("content-type", ""))
            return await self._answer(send, 200)
        if method == "POST" and "delete" in parse_qs(scope["query_string"].decode(), keep_blank_values=True):
            keys = re.findall(r"<Key>([^<]+)</Key>", body.decode())
            for key in keys:
                self.objects.pop(f"{path.rstrip('/')}/{key}", None)
            gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return await self._answer(send, 200, f"<DeleteResult>{gone}</DeleteResult>".encode())
        if method == "DELETE":
            self.objects.pop(path, None)
            return await self._answer(send, 204)
        found = self.objects.get(path)
        await (self._answer(send, 200, found[0]) if found else self._answer(send, 404))

    async def _answer(self, send: Any, status: int, body: bytes = b"") -> None:
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"etag", b'"1"'),
            (b"last-modified", b"Sat, 21 Nov 2026 12:00:00 GMT"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


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
        store = bucket(settings) if self.s3 else Folder(self.folder, settings.media_url, SECRET)
        return Uploads(self.world.shop, store)

    @property
    def folder(self) -> Path:
        return Path(self.world.database._writer.url.database or "").parent / "media"


@pytest.fixture
async def in_folder(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Gallery]:
    async for world in open_world(sqlite_database_url, tmp_path, Settings(media_url=BASE)):
        yield Gallery(world)


@pytest.fixture
async def in_bucket(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Gallery]:
    s3, port = S3(), free_port()
    server = uvicorn.Server(uvicorn.Config(s3, port=port, log_level="critical", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    settings = Settings(
        media_url=BASE,
        media_s3_bucket="pictures",
        media_s3_endpoint=f"http://127.0.0.1:{port}",
        media_s3_access_key="access",
        media_s3_secret_key=SecretStr("secret"),
    )
    async for world in open_world(sqlite_database_url, tmp_path, settings):
        yield Gallery(world, s3)
    server.should_exit = True
    await serving


@pytest.fixture(params=["in_folder", "in_bucket"])
def gallery(request: pytest.FixtureRequest) -> Gallery:
    """Both in turn."""
    found: Gallery = request.getfixturevalue(request.param)
    return found
