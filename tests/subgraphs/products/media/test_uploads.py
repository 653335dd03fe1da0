"""A picture's way from a seller's disk to a product's page, and what does not get there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from subgraphs.kit.ids import new_ulid
from subgraphs.kit.media import uploads as module
from subgraphs.kit.media.pictures import MAX_BYTES
from subgraphs.products.media.models import uploads
from tests.subgraphs.kit.media.test_pictures import picture
from tests.subgraphs.products.conftest import World, bare
from tests.subgraphs.products.media.conftest import Gallery


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def statuses(world: World) -> list[str]:
    async with world.database.read() as connection:
        return list((await connection.execute(select(uploads.c.status).order_by(uploads.c.id))).scalars())


async def test_a_picture_is_sent_checked_and_shown(gallery: Gallery) -> None:
    first, second = await gallery.upload(picture()), await gallery.upload(picture("JPEG"), "image/jpeg")
    made = await gallery.enter(second, first)
    assert made["userErrors"] == []
    shown = made["product"]["media"]
    assert [each["type"] for each in shown] == ["IMAGE", "IMAGE"]
    assert [each["url"].rpartition(".")[2] for each in shown] == ["jpg", "png"], "in the order given"
    page = await gallery.shown(shown[0]["url"])
    assert (page.status_code, page.headers["content-type"]) == (200, "image/jpeg")
    assert page.content.startswith(b"\xff\xd8\xff")
    assert await statuses(gallery.world) == ["USED", "USED"]
    if gallery.s3:
        assert len(gallery.s3.signed) == 2, "the files did not come by us"


async def test_what_was_checked_cannot_be_replaced(gallery: Gallery) -> None:
    made = (await gallery.create())["upload"]
    await gallery.send(made["url"], picture())
    (shown,) = (await gallery.enter(made["id"]))["product"]["media"]
    before = (await gallery.shown(shown["url"])).content
    await gallery.send(made["url"], b"<script>alert(1)</script>")
    assert (await gallery.shown(shown["url"])).content == before


@pytest.mark.parametrize("sent", [b"<svg onload=alert(1)>", picture("JPEG"), picture()[:50], b"x" * (MAX_BYTES + 1)])
async def test_what_is_no_such_picture_is_shown_nowhere(gallery: Gallery, sent: bytes) -> None:
    made = (await gallery.create())["upload"]
    await gallery.send(made["url"], sent)
    refused = await gallery.enter(made["id"])
    assert refused["product"] is None
    # A folder does not even take what is too large.
    assert codes(refused) == (["NOT_FOUND"] if len(sent) > MAX_BYTES and not gallery.s3 else ["INVALID"])
    assert refused["userErrors"][0]["field"] == ["input", "mediaUploadIds"]
    assert await statuses(gallery.world) == ["PENDING"]


async def test_nothing_sent_anothers_and_invented_uploads_are_refused(in_folder: Gallery) -> None:
    world = in_folder.world
    empty = (await in_folder.create())["upload"]["id"]
    assert codes(await in_folder.enter(empty)) == ["NOT_FOUND"]
    staffs = await in_folder.upload(picture(), user=world.admin)
    assert codes(await in_folder.enter(staffs)) == ["NOT_FOUND"]
    assert codes(await in_folder.enter("bm90aGluZw")) == ["NOT_FOUND"]
    mine = await in_folder.upload(picture())
    assert codes(await in_folder.enter(mine, mine)) == ["UNIQUE"]
    assert (await in_folder.enter(mine))["userErrors"] == []
    assert codes(await in_folder.enter(mine, name="Other")) == ["NOT_ALLOWED"], "one product shows it"


async def test_one_upload_is_shown_with_one_product_even_at_one_moment(world: World) -> None:
    gallery = Gallery(world)
    url = (await gallery.create())["upload"]
    path = url["url"].partition("4000")[2]
    async with gallery.client() as client:
        assert (await client.put(f"https://shop.example{path}", content=picture())).status_code == 204
    entered = await asyncio.gather(*(gallery.enter(url["id"], name=f"Product {n}") for n in range(4)))
    assert sorted(codes(each) for each in entered) == [[], *[["NOT_ALLOWED"]] * 3]
    assert await statuses(world) == ["USED"]


async def test_the_same_key_gives_the_same_product(in_folder: Gallery) -> None:
    upload, key = await in_folder.upload(picture()), new_ulid()
    first = await in_folder.enter(upload, key=key)
    again = await in_folder.enter(upload, key=key)
    assert again["product"]["id"] == first["product"]["id"]
    assert again["userErrors"] == []


async def test_pictures_are_replaced_kept_and_taken_away(in_folder: Gallery) -> None:
    old, new = await in_folder.upload(picture()), await in_folder.upload(picture())
    product = (await in_folder.enter(old))["product"]
    kept = (await in_folder.change(product, None))["product"]
    assert kept["media"] == product["media"], "not named, not changed"
    both = (await in_folder.change(kept, [new, old]))["product"]
    assert both["media"][1] == product["media"][0]
    none = (await in_folder.change(both, []))["product"]
    assert none["media"] == []
    assert await statuses(in_folder.world) == ["DROPPED", "DROPPED"]
    assert await in_folder.media().collect() == 0, "while something may still come to their addresses"
    in_folder.world.clock.move(timedelta(minutes=16))
    assert await in_folder.media().collect() == 2
    assert (await in_folder.shown(product["media"][0]["url"])).status_code == 404
    assert codes(await in_folder.change(none, [old])) == ["NOT_FOUND"]


async def test_what_nobody_uses_is_deleted_after_a_day(gallery: Gallery) -> None:
    used, unused = await gallery.upload(picture()), await gallery.upload(picture())
    (shown,) = (await gallery.enter(used))["product"]["media"]
    await gallery.create()
    media = gallery.media()
    assert await media.collect() == 0
    gallery.world.clock.move(timedelta(days=1, minutes=1))
    assert await media.collect() == 2, "the one that nothing was sent to, too"
    assert await statuses(gallery.world) == ["USED"]
    assert (await gallery.shown(shown["url"])).status_code == 200
    assert codes(await gallery.enter(unused, name="Late")) == ["NOT_FOUND"]
    if gallery.s3:
        assert len(gallery.s3.objects) == 1, "the picture that is used, as it is shown"


async def test_only_pictures_of_a_sensible_size_and_number(in_folder: Gallery) -> None:
    assert codes(await in_folder.create("image/svg+xml")) == ["INVALID"]
    for size in (0, -1, MAX_BYTES + 1):
        assert codes(await in_folder.create(size=size)) == ["INVALID"]
    for _ in range(50):
        assert codes(await in_folder.create()) == []
    assert codes(await in_folder.create()) == ["NOT_ALLOWED"]
    answer = await in_folder.world.ask(
        'mutation { mediaUploadCreate(contentType: "image/png", size: 1) { userErrors { code } } }', new_ulid()
    )
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", "sellers only"


async def test_an_address_is_good_for_its_upload_and_a_while(in_folder: Gallery) -> None:
    one, other = (await in_folder.create())["upload"], (await in_folder.create())["upload"]
    forged = one["url"].replace(one["url"].split("/uploads/")[1][:26], other["url"].split("/uploads/")[1][:26])
    assert await in_folder.send(forged, picture()) == 403
    assert await in_folder.send(one["url"].partition("?")[0], picture()) == 403
    assert await in_folder.send(one["url"].replace("expires=", "expires=9"), picture()) == 403
    in_folder.world.clock.move(timedelta(minutes=11))
    assert await in_folder.send(one["url"], picture()) == 403


@pytest.mark.parametrize("name", ["..%2f..%2fproducts.sqlite", "nothing.png", f"{'0' * 26}.png", f"{'0' * 26}.html"])
async def test_nothing_but_pictures_is_served(in_folder: Gallery, name: str) -> None:
    await in_folder.upload(picture())
    assert (await in_folder.shown(f"https://shop.example/media/{name}")).status_code == 404


@pytest.mark.parametrize("place", ["media.after_publish", "media.after_check", "media.after_discard"])
async def test_what_was_interrupted_is_done_again(
    in_folder: Gallery, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    class Killed(BaseException):
        pass

    def stop(name: str) -> None:
        if name == place:
            raise Killed

    upload = await in_folder.upload(picture())
    media = in_folder.media()
    monkeypatch.setattr(module, "failpoint", stop)
    if place != "media.after_discard":
        with pytest.raises(Killed):
            await media.prepare(in_folder.world.seller, [bare(upload)])
        assert await statuses(in_folder.world) == ["PENDING" if place.endswith("publish") else "READY"]
        monkeypatch.undo()
        assert (await in_folder.enter(upload))["userErrors"] == []
        assert list((in_folder.folder / "uploads").iterdir()) == [], "what was sent is gone"
    else:
        in_folder.world.clock.move(timedelta(days=2))
        with pytest.raises(Killed):
            await media.collect()
        assert await statuses(in_folder.world) == ["DROPPED"]
        monkeypatch.undo()
        assert await media.collect() == 1
        assert await statuses(in_folder.world) == []
