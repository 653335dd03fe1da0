"""What is a picture, by its content. Pure.

A picture is decoded and written anew: what was hidden in it (where it was taken, a script behind the pixels) is gone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageOps

MAX_BYTES = 5 * 1024 * 1024
MAX_SIDE = 8000
MAX_PIXELS = 24_000_000
"""Decoded they take 4 bytes each: a file of a few kilobytes may claim to be gigabytes."""
QUALITY = 88

TYPES = {"JPEG": ("image/jpeg", "jpg"), "PNG": ("image/png", "png"), "WEBP": ("image/webp", "webp")}
CONTENT_TYPES = {extension: content_type for content_type, extension in TYPES.values()}


class BadPicture(ValueError):
    """Bytes that are not a picture we show; the message is for the person who uploaded them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is shown."""

    content_type: str
    extension: str
    width: int
    height: int
    data: bytes


def cleaned(data: bytes, content_type: str, side: int | None = None) -> Picture:
    """The picture, written anew; with ``side`` the square in its middle, of at most so many pixels a side.

    Raises BadPicture: no picture, another type than said, too large, moving.
    """
    kind = _kind(data)
    if kind is None or TYPES[kind][0] != content_type:
        raise BadPicture(f"This is not a file of the type {content_type}.")
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check(image)
            image.load()
            return _written(_square(ImageOps.exif_transpose(image), side), kind)
    except BadPicture:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadPicture("This file is damaged.") from error


def _kind(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _check(image: Image.Image) -> None:
    """By the header, before a pixel is decoded."""
    width, height = image.size
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise BadPicture(f"At most {MAX_SIDE} pixels a side and {MAX_PIXELS:,} in all.")
    if getattr(image, "n_frames", 1) > 1:
        raise BadPicture("A picture that does not move, please.")


def _square(image: Image.Image, side: int | None) -> Image.Image:
    if side is None:
        return image
    # Indexed colours cannot be scaled smoothly.
    smooth = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGBA")
    edge = min(side, *image.size)
    return ImageOps.fit(smooth, (edge, edge))


def _written(image: Image.Image, kind: str) -> Picture:
    if kind == "JPEG" and image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if kind != "JPEG" and image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA")
    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    out = io.BytesIO()
    bare.save(out, kind, quality=QUALITY)
    content_type, extension = TYPES[kind]
    return Picture(content_type, extension, *bare.size, out.getvalue())
