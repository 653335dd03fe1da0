"""Where pictures are: a bucket behind the S3 API, or a folder when everything runs on one machine.

``uploads/<id>`` holds what somebody sent, unseen; ``pictures/<id>.<ext>`` what was checked and is shown.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from subgraphs.kit.errors import Unavailable
from subgraphs.kit.media.settings import MediaSettings
from subgraphs.kit.settings import CommonSettings

LIFE = timedelta(minutes=10)
"""Of an address to upload to."""
NAME = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.(?:jpg|png|webp)")


class Missing(Exception):
    """Nothing was uploaded."""


class TooLarge(Exception):
    """More was uploaded than may be."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send a file: by this method, until then."""

    url: str
    method: str
    expires_at: datetime


Signer = Callable[[str, datetime], Awaitable[str]]
"""The address that takes this upload, from now on, for ``LIFE``."""


class MediaStore:
    """Uploads and pictures in a store. Raises Unavailable when it does not answer."""

    def __init__(self, store: Any, public_url: str, sign: Signer) -> None:
        self._store = store
        self._public_url = public_url.rstrip("/")
        self._sign = sign

    async def target(self, upload_id: str, now: datetime) -> Target:
        """Where a browser sends the file."""
        return Target(await self._sign(upload_id, now), "PUT", now + LIFE)

    async def receive(self, upload_id: str, data: bytes) -> None:
        """Keep what was sent to us (a bucket takes uploads itself)."""
        await self._put(f"uploads/{upload_id}", data)

    async def uploaded(self, upload_id: str, at_most: int) -> bytes:
        """What was uploaded. Raises Missing or TooLarge."""
        try:
            found = await obstore.get_async(self._opened(), f"uploads/{upload_id}")
            if found.meta["size"] > at_most:
                raise TooLarge
            return bytes(await found.bytes_async())
        except FileNotFoundError as error:
            raise Missing from error
        except BaseError as error:
            raise Unavailable("The store of pictures does not answer.") from error

    async def publish(self, name: str, data: bytes, content_type: str) -> str:
        """Show a picture under this name; its address."""
        await self._put(f"pictures/{name}", data, content_type)
        return f"{self._public_url}/{name}"

    async def picture(self, name: str) -> bytes:
        """A picture that is shown. Raises Missing."""
        try:
            found = await obstore.get_async(self._opened(), f"pictures/{name}")
            return bytes(await found.bytes_async())
        except FileNotFoundError as error:
            raise Missing from error

    async def discard(self, paths: Iterable[str]) -> None:
        """Delete these, those too that are not there."""
        for path in paths:
            try:
                await obstore.delete_async(self._opened(), path)
            except FileNotFoundError:
                continue
            except BaseError as error:
                raise Unavailable("The store of pictures does not answer.") from error

    async def _put(self, path: str, data: bytes, content_type: str | None = None) -> None:
        # A folder has no place for types; its pictures are served by their ending.
        store = self._opened()
        more: Any = (
            {"attributes": {"Content-Type": content_type}} if isinstance(store, S3Store) and content_type else {}
        )
        try:
            await obstore.put_async(store, path, data, **more)
        except BaseError as error:
            raise Unavailable("The store of pictures does not answer.") from error

    def _opened(self) -> Any:
        return self._store


def store_of(settings: MediaSettings, common: CommonSettings, folder: str, public_url: str) -> MediaStore:
    """The bucket of the settings, or this folder of the data. ``public_url``: where its pictures are shown."""
    if settings.media_s3_bucket:
        return bucket(settings, public_url)
    return Folder(common.data_dir / folder, public_url, common.claims_secret.get_secret_value())


def bucket(settings: MediaSettings, public_url: str) -> MediaStore:
    """A bucket of the settings, with addresses signed as AWS does (Signature Version 4)."""
    secret = settings.media_s3_secret_key
    store = S3Store(
        settings.media_s3_bucket or "",
        endpoint=settings.media_s3_endpoint,
        region=settings.media_s3_region,
        access_key_id=settings.media_s3_access_key,
        secret_access_key=secret.get_secret_value() if secret else None,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=10)},
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=10)},
    )

    async def sign(upload_id: str, _now: datetime) -> str:
        return await obstore.sign_async(store, "PUT", f"uploads/{upload_id}", LIFE)

    return MediaStore(store, public_url, sign)


class Folder(MediaStore):
    """A folder, made at its first use. Uploads are sent to us, at addresses that only we can make."""

    def __init__(self, folder: Path, public_url: str, secret: str) -> None:
        self._secret = hmac.digest(secret.encode(), f"uploads to {folder.name}".encode(), "sha256")
        self._folder = folder
        super().__init__(None, public_url, self._signed)

    async def _signed(self, upload_id: str, now: datetime) -> str:
        expires = int((now + LIFE).timestamp())
        signature = self._signature(upload_id, expires)
        return f"{self._public_url}/uploads/{upload_id}?expires={expires}&signature={signature}"

    def allows(self, upload_id: str, expires: str, signature: str, now: datetime) -> bool:
        """Whether an address was made by us and is still good."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return False
        right = hmac.compare_digest(self._signature(upload_id, int(expires)).encode(), signature.encode())
        return right and datetime.fromtimestamp(int(expires), UTC) > now

    def _signature(self, upload_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"{upload_id}\0{expires}".encode(), "sha256").hexdigest()

    def _opened(self) -> Any:
        if self._store is None:
            self._store = LocalStore(str(self._folder.resolve()), mkdir=True)
        return self._store
