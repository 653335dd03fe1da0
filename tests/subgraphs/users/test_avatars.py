"""A picture of oneself: from one's disk to what others see, and away again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import select, update

from messaging.events.users import UserChanged
from subgraphs.kit.ids import global_id
from subgraphs.kit.media.store import Folder, bucket
from subgraphs.kit.media.uploads import Uploads
from subgraphs.kit.settings import CommonSettings
from subgraphs.users.models import avatar_uploads, users
from subgraphs.users.service.avatars import avatars
from subgraphs.users.settings import Settings
from tests.subgraphs.kit.media.test_pictures import picture
from tests.subgraphs.users.conftest import PASSWORD, SECRET, Member, World, open_world
from tests.support.s3 import S3, bucket_settings, serving_s3

BASE = "https://shop.example/avatars"
ASK = """mutation($type: String!, $size: Int!) { avatarUploadCreate(contentType: $type, size: $size) {
  upload { id url method expiresAt } userErrors { code field } } }"""
SHOW = """mutation($upload: ID, $name: String) { accountUpdate(avatarUploadId: $upload, displayName: $name) {
  user { avatarUrl displayName } userErrors { code field message } } }"""
WITHDRAW = f'mutation {{ accountDelete(password: "{PASSWORD}") {{ user {{ id avatarUrl }} userErrors {{ code }} }} }}'


def settings(**more: Any) -> Settings:
    return Settings(argon2_memory_kib=64, argon2_passes=1, public_url="https://shop.example/", **more)


@dataclass
class Studio:
    """Users with a store of pictures, and how a browser reaches it."""

    world: World
    folder: Path
    s3: S3 | None = None

    async def ask(self, member: Member | None, content_type: str = "image/png", size: int = 100) -> dict[str, Any]:
        answer = await self.world.ask(ASK, member, type=content_type, size=size)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["avatarUploadCreate"]
        return payload

    async def upload(self, member: Member, data: bytes, content_type: str = "image/png") -> str:
        made = (await self.ask(member, content_type))["upload"]
        assert (await self.send(made["url"], data)).status_code in (200, 204)
        return str(made["id"])

    async def send(self, url: str, data: bytes) -> httpx2.Response:
        async with self.client() as client:
            return await client.put(url, content=data)

    async def show(self, member: Member, upload: str | None, **more: Any) -> dict[str, Any]:
        answer = await self.world.ask(SHOW, member, upload=upload, **more)
        assert "errors" not in answer, answer
        payload: dict[str, Any] = answer["data"]["accountUpdate"]
        return payload

    async def shown(self, url: str) -> httpx2.Response:
        async with self.client() as client:
            return await client.get(url)

    def client(self) -> httpx2.AsyncClient:
        inside = httpx2.ASGITransport(self.world.subgraph.app) if self.s3 is None else None
        return httpx2.AsyncClient(transport=inside)

    def kept(self) -> list[str]:
        """The files in the store."""
        if self.s3 is not None:
            return sorted(path.removeprefix("/pictures/") for path in self.s3.objects)
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def uploads(self) -> Uploads:
        """The use cases as the background work has them, on the same store."""
        chosen = self.world.deps.settings
        store = bucket(chosen, BASE) if self.s3 else Folder(self.folder, BASE, SECRET)
        return avatars(self.world.deps, store)


@pytest.fixture
async def in_folder(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    common = CommonSettings(claims_secret=SecretStr(SECRET), cursor_secret=SecretStr("c"), data_dir=tmp_path)
    async for world in open_world(sqlite_database_url, settings(), common=common):
        yield Studio(world, tmp_path / "avatars")


@pytest.fixture
async def in_bucket(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    async with serving_s3() as (s3, endpoint):
        async for world in open_world(sqlite_database_url, settings(**bucket_settings(endpoint))):
            yield Studio(world, tmp_path, s3)


@pytest.fixture(params=["in_folder", "in_bucket"])
def studio(request: pytest.FixtureRequest) -> Studio:
    """Both in turn."""
    found: Studio = request.getfixturevalue(request.param)
    return found


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def statuses(world: World) -> list[str]:
    return await world.column(select(avatar_uploads.c.status).order_by(avatar_uploads.c.id))


async def test_a_picture_is_set_announced_and_seen_as_a_small_square(in_folder: Studio) -> None:
    member = await in_folder.world.member()
    exif = Image.Exif()
    exif[0x010E] = "Teheran-ro 1, Gangnam"
    sent = picture("JPEG", (1200, 700), exif=exif)
    upload = await in_folder.upload(member, sent, "image/jpeg")
    made = await in_folder.show(member, upload, name="두레")
    assert codes(made) == []
    url = made["user"]["avatarUrl"]
    assert url.startswith(f"{BASE}/")
    assert (await in_folder.world.told(UserChanged))[-1].avatar_url == url
    page = await in_folder.shown(url)
    assert (page.status_code, page.headers["content-type"]) == (200, "image/jpeg")
    assert page.headers["cache-control"] == "public, max-age=86400"
    with Image.open(io.BytesIO(page.content)) as image:
        assert (image.size, dict(image.getexif())) == ((512, 512), {})
    assert b"Teheran-ro" not in page.content
    assert in_folder.kept() == [f"pictures/{url.rpartition('/')[2]}"], "what was sent, and where it was taken, is gone"
    assert await in_folder.world.audit() == []


async def test_replaced_and_taken_away_pictures_are_deleted(studio: Studio) -> None:
    world, member = studio.world, await studio.world.member()
    first = (await studio.show(member, await studio.upload(member, picture())))["user"]["avatarUrl"]
    second = (await studio.show(member, await studio.upload(member, picture("WEBP"), "image/webp")))["user"]
    assert second["avatarUrl"] != first
    assert await statuses(world) == ["DROPPED", "USED"]
    world.clock.pass_(minutes=16)
    assert await studio.uploads().collect() == 1
    assert [name.rpartition(".")[2] for name in studio.kept()] == ["webp"]
    kept = await studio.show(member, None, name="Other")
    assert kept["user"]["avatarUrl"] == second["avatarUrl"], "not named, not changed"
    assert (await studio.show(member, ""))["user"]["avatarUrl"] is None
    assert (await world.told(UserChanged))[-1].avatar_url is None
    assert await studio.uploads().collect() == 1
    assert (studio.kept(), await statuses(world), await world.audit()) == ([], [], [])


async def test_whoever_withdraws_leaves_no_picture(studio: Studio) -> None:
    world, member, other = studio.world, await studio.world.member(), await studio.world.member("other@example.com")
    await studio.show(member, await studio.upload(member, picture()))
    unused = await studio.upload(member, picture())
    others = (await studio.show(other, await studio.upload(other, picture())))["user"]["avatarUrl"]
    answer = await world.ask(WITHDRAW, member)
    assert answer["data"]["accountDelete"]["userErrors"] == []
    assert await statuses(world) == ["DROPPED", "DROPPED", "USED"]
    world.clock.pass_(minutes=16)
    assert await studio.uploads().collect() == 2
    assert studio.kept() == [f"pictures/{others.rpartition('/')[2]}"]
    assert await world.audit() == []
    refused = await world.ask(SHOW, member, upload=unused)
    assert refused["errors"][0]["extensions"]["code"] in ("UNAUTHENTICATED", "FORBIDDEN") or codes(
        refused["data"]["accountUpdate"]
    ) == ["NOT_FOUND"]


async def test_only_the_owner_shows_what_he_uploaded(in_folder: Studio) -> None:
    world = in_folder.world
    member, other = await world.member(), await world.member("other@example.com")
    anothers = await in_folder.upload(other, picture())
    assert codes(await in_folder.show(member, anothers)) == ["NOT_FOUND"]
    await in_folder.show(other, anothers)
    assert codes(await in_folder.show(member, anothers)) == ["NOT_FOUND"], "shown by its owner, too"
    assert codes(await in_folder.show(member, "bm90aGluZw")) == ["NOT_FOUND"]
    empty = (await in_folder.ask(member))["upload"]["id"]
    refused = await in_folder.show(member, empty)
    assert (codes(refused), refused["userErrors"][0]["field"]) == (["NOT_FOUND"], ["avatarUploadId"])
    anonymous = await world.ask(ASK, None, type="image/png", size=1)
    assert anonymous["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    ended = await world.ask("mutation { sessionsRevokeAll { userErrors { code } } }", member)
    assert ended["data"]["sessionsRevokeAll"]["userErrors"] == []
    late = await world.ask(ASK, member, type="image/png", size=1)
    assert late["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED", "the session has ended"


@pytest.mark.parametrize("sent", [b"<svg onload=alert(1)>", picture("JPEG"), picture()[:50]])
async def test_what_is_no_such_picture_changes_nothing(in_folder: Studio, sent: bytes) -> None:
    member = await in_folder.world.member()
    refused = await in_folder.show(member, await in_folder.upload(member, sent), name="Changed")
    assert codes(refused) == ["INVALID"]
    (row,) = await in_folder.world.rows(users)
    assert (row.avatar_url, row.display_name == "Changed") == (None, False)


async def test_only_pictures_of_a_sensible_size_and_number(in_folder: Studio) -> None:
    member = await in_folder.world.member()
    assert codes(await in_folder.ask(member, "image/svg+xml")) == ["INVALID"]
    assert codes(await in_folder.ask(member, size=5 * 1024 * 1024 + 1)) == ["INVALID"]
    for _ in range(10):
        assert codes(await in_folder.ask(member)) == []
    assert codes(await in_folder.ask(member)) == ["NOT_ALLOWED"]


async def test_of_several_at_one_moment_one_is_shown(in_folder: Studio) -> None:
    member = await in_folder.world.member()
    sent = [await in_folder.upload(member, picture()) for _ in range(4)]
    shown = await asyncio.gather(*(in_folder.show(member, each) for each in [*sent, *sent]))
    assert [codes(each) for each in shown].count([]) >= 4
    assert sorted(await statuses(in_folder.world)) == ["DROPPED", "DROPPED", "DROPPED", "USED"]
    assert await in_folder.world.audit() == []


async def test_an_address_of_products_is_none_of_users(in_folder: Studio, tmp_path: Path) -> None:
    member = await in_folder.world.member()
    upload = (await in_folder.ask(member))["upload"]["url"].split("/uploads/")[1].partition("?")[0]
    products = Folder(tmp_path / "media", BASE, SECRET)
    target = await products.target(upload, in_folder.world.clock())
    assert (await in_folder.send(target.url, picture())).status_code == 403


async def test_the_audit_finds_a_picture_that_nobody_checked(in_folder: Studio) -> None:
    world, member = in_folder.world, await in_folder.world.member()
    await world.run(update(users).where(users.c.id == member.id).values(avatar_url="https://elsewhere.example/x.png"))
    assert await world.audit() == ["users.picture"]
    await in_folder.show(member, await in_folder.upload(member, picture()))
    assert await world.audit() == []
    await world.run(update(users).where(users.c.id == member.id).values(avatar_url="https://elsewhere.example/x.png"))
    assert await world.audit() == ["users.picture"]


async def test_a_picture_is_set_on_every_database(any_world: World) -> None:
    """The statements, on each of the three: files are in the tests above."""
    member = await any_world.member()
    row = {"owner_id": member.id, "content_type": "image/png", "created_at": any_world.clock()}
    ids = [f"{n}".rjust(26, "0") for n in range(2)]
    await any_world.run(
        avatar_uploads.insert().values(
            [row | {"id": id, "status": "READY", "url": f"{BASE}/{id}.png", "width": 1, "height": 1} for id in ids]
        )
    )
    for id in ids:
        answer = await any_world.ask(SHOW, member, upload=global_id("AvatarUpload", id))
        assert answer["data"]["accountUpdate"]["user"]["avatarUrl"] == f"{BASE}/{id}.png"
    assert await statuses(any_world) == ["DROPPED", "USED"]
    assert await any_world.audit() == []
    assert (await any_world.ask(WITHDRAW, member))["data"]["accountDelete"]["userErrors"] == []
    assert await statuses(any_world) == ["DROPPED", "DROPPED"]
    assert await any_world.audit() == []
