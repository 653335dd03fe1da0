"""What passes as a picture, and what is gone when it has passed."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from subgraphs.kit.media.pictures import TYPES, BadPicture, cleaned


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **more: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 1).save(out, kind, **more)
    return out.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is as large as this."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + body + picture()[33:]


@pytest.mark.parametrize("kind", list(TYPES))
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_passes_and_is_one_afterwards(kind: str, mode: str) -> None:
    content_type, extension = TYPES[kind]
    made = cleaned(picture(kind, mode=mode), content_type)
    assert (made.content_type, made.extension, made.width, made.height) == (content_type, extension, 40, 30)
    with Image.open(io.BytesIO(made.data)) as again:
        assert (again.format, again.size) == (kind, (40, 30))


def test_where_it_was_taken_and_what_was_hidden_are_gone() -> None:
    exif = Image.Exif()
    exif[0x010E] = "Teheran-ro 1, Gangnam"
    exif[0x0112] = 6  # turned by a quarter
    sent = picture("JPEG", exif=exif) + b"<script>alert(1)</script>"
    assert b"Teheran-ro" in sent
    made = cleaned(sent, "image/jpeg")
    assert (made.width, made.height) == (30, 40), "turned as it is to be seen"
    assert b"Teheran-ro" not in made.data
    assert b"script" not in made.data


@pytest.mark.parametrize(
    ("data", "content_type", "reason"),
    [
        (b"", "image/png", "not a file of the type"),
        (b"<svg onload=alert(1)>", "image/png", "not a file of the type"),
        (picture("JPEG"), "image/png", "not a file of the type"),
        (picture("GIF"), "image/gif", "not a file of the type"),
        (picture()[:60], "image/png", "damaged"),
        (b"\xff\xd8\xff" + b"\0" * 100, "image/jpeg", "damaged"),
        (claiming(8001, 1), "image/png", "At most 8000 pixels"),
        (claiming(7999, 7999), "image/png", "At most 8000 pixels"),
        (claiming(2**31 - 1, 2**31 - 1), "image/png", "pixels|damaged"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(BadPicture, match=reason):
        cleaned(data, content_type)


@pytest.mark.parametrize(
    ("size", "edge"), [((1200, 800), 512), ((800, 1200), 512), ((512, 512), 512), ((90, 40), 40), ((1, 3), 1)]
)
@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "CMYK"), ("WEBP", "RGB")])
def test_a_square_is_cut_from_the_middle_and_never_blown_up(
    size: tuple[int, int], edge: int, kind: str, mode: str
) -> None:
    content_type, _ = TYPES[kind]
    made = cleaned(picture(kind, size, mode), content_type, 512)
    assert (made.width, made.height) == (edge, edge)


def test_the_middle_is_what_is_seen_once_it_is_turned() -> None:
    """Three fields side by side, the middle one red: it is what is left, though the file lies on its side."""
    image = Image.new("RGB", (300, 100), "blue")
    image.paste("red", (100, 0, 200, 100))
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image.save(out, "PNG", exif=exif)
    made = cleaned(out.getvalue(), "image/png", 512)
    with Image.open(io.BytesIO(made.data)) as square:
        assert (square.size, square.getcolors()) == ((100, 100), [(10_000, (255, 0, 0))])


def test_a_moving_picture_is_refused() -> None:
    frames = [Image.new("RGB", (10, 10), color) for color in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(BadPicture, match="does not move"):
        cleaned(out.getvalue(), "image/webp")


@given(st.sampled_from(list(TYPES)), st.integers(0, 400), st.binary(max_size=8))
def test_damage_is_refused_or_passes_but_never_breaks(kind: str, at: int, damage: bytes) -> None:
    sent = bytearray(picture(kind))
    sent[at : at + len(damage)] = damage
    with contextlib.suppress(BadPicture):
        assert cleaned(bytes(sent), TYPES[kind][0]).data
