"""``POST /invalidation`` on the operators' port: taking answers out of the cache by hand, or by a subgraph's own means.

The form is Apollo Router's: a JSON list of what is old, the shared secret in ``Authorization``, 202 when it is done.
"""

from __future__ import annotations

import hmac
import logging
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from router.errors import RequestError
from router.executor.entity_cache.store import Purge, Store, StoreDown, entity_changed, subgraph_tag, type_tag
from router.pipeline.asgi import Disconnected, RawHeaders, Receive, Scope, Send, read_body, send_whole

MAX_BYTES = 1024 * 1024
MAX_ASKED = 1_000
"""Purged in one go, and the store does nothing else meanwhile."""
RETRY = (b"retry-after", b"1")

logger = logging.getLogger(__name__)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BySubgraph(_Asked):
    """All that a subgraph answered."""

    kind: Literal["subgraph"]
    subgraph: str

    def purges(self) -> list[Purge]:
        return [Purge(subgraph_tag(self.subgraph))]


class ByType(_Asked):
    """All that holds an entity of the type. It is purged whichever subgraph told it."""

    kind: Literal["type"]
    subgraph: str
    type: str

    def purges(self) -> list[Purge]:
        return [Purge(type_tag(self.type))]


class ByEntity(_Asked):
    """One entity. ``version``: what it is at now, for subgraphs that tell versions."""

    kind: Literal["entity"]
    subgraph: str
    type: str
    key: dict[str, Any]
    version: int | None = Field(default=None, ge=0, lt=2**53)

    def purges(self) -> list[Purge]:
        id_ = self.key.get("id")
        if not isinstance(id_, str | int) or len(self.key) > 1:
            return [Purge(type_tag(self.type))]  # entries are tagged by `id`: by another key nothing less is sure
        return entity_changed(self.type, str(id_), self.version)


class ByCacheTag(_Asked):
    """All with a tag of ``@cacheTag``."""

    kind: Literal["cache_tag"]
    subgraphs: list[str]
    cache_tag: str

    def purges(self) -> list[Purge]:
        return [Purge(self.cache_tag)]


Asked = Annotated[BySubgraph | ByType | ByEntity | ByCacheTag, Field(discriminator="kind")]
_asked: TypeAdapter[list[Asked]] = TypeAdapter(Annotated[list[Asked], Field(max_length=MAX_ASKED)])


class Invalidation:
    """Purges ``store`` for whoever knows ``secret``."""

    def __init__(self, store: Store, secret: SecretStr) -> None:
        self._store = store
        self._secret = secret.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: 202 with how many tags were purged; 503 if the store did not take it: ask again."""
        headers = dict(scope["headers"])
        if scope["method"] != "POST":
            await _tell(send, 405, "Send it with POST.", [(b"allow", b"POST")])
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._secret):
            await _tell(send, 401, "The Authorization header is not the shared secret.", [])
            return
        try:
            body = await read_body(receive, headers.get(b"content-length", b"").decode("latin-1") or None, MAX_BYTES)
            asked = _asked.validate_json(body)
        except Disconnected:
            return
        except RequestError as error:
            await _tell(send, error.status, error.messages[0], [])
            return
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            await _tell(send, 400, f"{where}: {first['msg']}" if where else first["msg"], [])
            return
        purges = list(dict.fromkeys(purge for each in asked for purge in each.purges()))
        try:
            if purges:
                await self._store.purge(purges)
        except StoreDown as error:
            logger.warning("an invalidation was not taken: %s", error)
            await _tell(send, 503, "The cache's store cannot be reached; nothing is purged.", [RETRY])
            return
        await send_whole(send, 202, b"application/json", orjson.dumps({"count": len(purges)}), [])


async def _tell(send: Send, status: int, message: str, headers: RawHeaders) -> None:
    body = orjson.dumps({"errors": [{"message": message}]})
    await send_whole(send, status, b"application/json", body, headers)
