"""REST as a raw ASGI endpoint: a request becomes a persisted operation's, its answer's part a body or a problem."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
from graphql import GraphQLSchema

from router.errors import RequestError
from router.pipeline.asgi import Disconnected, RawHeaders, Receive, Scope, Send, read_body, read_headers, send_whole
from router.pipeline.departure import unless_gone
from router.pipeline.media_types import JSON, is_json, takes
from router.pipeline.origins import Origins
from router.pipeline.pipeline import Answer, Headers, Pipeline
from router.pipeline.request import GraphQLRequest
from router.pipeline.rest.arguments import Reader
from router.pipeline.rest.json_schema import Schemas
from router.pipeline.rest.model import Api, Call
from router.pipeline.rest.openapi import openapi
from router.pipeline.rest.paths import Match, Paths
from router.pipeline.rest.problems import MEDIA_TYPE, STATUS_OF_CODE, Problem, of_errors
from router.pipeline.shedding import Admission
from router.settings import Settings
from router.telemetry.tracing import Tracing, answered, ensure_trace

logger = logging.getLogger(__name__)

OPENAPI_PATH = "/openapi.json"


class Rest:
    """An API ready to be served."""

    def __init__(self, api: Api, schema: GraphQLSchema) -> None:
        schemas = Schemas(api.scalars)
        self.api = api
        self.document = orjson.dumps(openapi(api, schema))
        self.paths = Paths(api.endpoints)
        self.readers = {(one.method, one.path): Reader(one, schemas) for one in api.endpoints}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    media_type: str
    body: bytes
    headers: RawHeaders = field(default_factory=list)


class RestEndpoint:
    """Serves the paths of ``rest`` by a pipeline."""

    def __init__(
        self,
        rest: Rest,
        pipeline: Callable[[], Pipeline],
        settings: Settings,
        admission: Admission,
        tracing: Tracing,
    ) -> None:
        self.rest = rest
        self._tracing = tracing
        self._admission = admission
        self._pipeline = pipeline
        self._settings = settings
        self._origins = Origins(settings)

    def serves(self, scope: Scope) -> bool:
        """Whether a path is one of ours, whatever the method."""
        path = _raw_path(scope)
        return path == OPENAPI_PATH or self.rest.paths.find(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers: dict[str, str] = {}
        try:
            limits = self._settings.limits
            headers = read_headers(scope, limits.headers, limits.header_bytes)
            with self._tracing.serving(headers, self._span(scope)) as span:
                reply = await self._reply(scope, receive, headers)
                answered(span, reply.status)
        except Disconnected:
            return
        except RequestError as error:
            reply = _refusal(_problem(error), headers)
        body = b"" if scope["method"] == "HEAD" else reply.body
        cors = [one for one in self._origins.response_headers(headers) if one not in reply.headers]
        await _send(send, reply.status, reply.media_type, body, [*cors, *reply.headers], len(reply.body))

    async def _reply(self, scope: Scope, receive: Receive, headers: dict[str, str]) -> Reply:
        try:
            with self._admission:
                return await self._answer(scope, receive, headers)
        except Disconnected:
            raise
        except RequestError as error:
            return _refusal(_problem(error), headers)
        except Problem as problem:
            return _refusal(problem, headers)
        except Exception:
            logger.exception("a request failed")
            return _refusal(Problem(500, "INTERNAL_SERVER_ERROR", "Internal error."), headers)

    def _span(self, scope: Scope) -> str:
        """Method and template: what stands in a path is the caller's and may be anything."""
        match = self.rest.paths.find(_raw_path(scope))
        one = next(iter(match.endpoints.values()), None) if match is not None else None
        return f"{scope['method']} {one.path if one is not None else OPENAPI_PATH}"

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> Reply:
        rest, path, method = self.rest, _raw_path(scope), scope["method"]
        match = rest.paths.find(path) or Match({}, ())
        methods = ("GET", "HEAD", "OPTIONS") if path == OPENAPI_PATH else match.methods
        if method == "OPTIONS":
            names = ", ".join(methods).encode()
            return Reply(204, JSON, b"", [*self._origins.preflight_headers(headers, names), (b"allow", names)])
        if method not in methods:
            detail = f"Use {' or '.join(methods)}."
            raise Problem(405, "METHOD_NOT_ALLOWED", detail, allow=", ".join(methods))
        if not takes(headers.get("accept"), JSON):
            raise Problem(406, "NOT_ACCEPTABLE", f"Answers come as {JSON}.")
        if path == OPENAPI_PATH:
            return Reply(200, JSON, rest.document)
        endpoint = match.endpoints["GET" if method == "HEAD" else method]
        reader = rest.readers[endpoint.method, endpoint.path]
        body = await self._body(receive, headers) if reader.takes_body else b""
        call, variables = reader.read(match.segments, scope["query_string"], headers, body)
        request = GraphQLRequest(call.operation.body, call.operation.name, variables, trusted=True)
        reads = method in ("GET", "HEAD")
        answering = self._pipeline().answer(request, headers, only_queries=reads, defer=False)
        answer = await unless_gone(receive, answering)
        assert isinstance(answer, Answer), "nothing here streams"
        return Reply(endpoint.status, JSON, orjson.dumps(result_of(answer, call, rest.api)))

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        if not is_json(headers.get("content-type")):
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", f"The body must be {JSON} in UTF-8.")
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Problem(415, "UNSUPPORTED_MEDIA_TYPE", "The body must not be compressed.")
        try:
            async with asyncio.timeout(self._settings.body_timeout):
                return await read_body(receive, headers.get("content-length"), self._settings.limits.body_bytes)
        except TimeoutError:
            raise Problem(408, "REQUEST_TIMEOUT", "The request's body took too long.") from None


def _problem(error: RequestError) -> Problem:
    status = STATUS_OF_CODE.get(error.code.value, error.status) if error.status == 200 else error.status
    return Problem(status, error.code.value, str(error), retry_after=error.retry_after)


def _refusal(problem: Problem, headers: dict[str, str]) -> Reply:
    more: RawHeaders = []
    if problem.allow is not None:
        more.append((b"allow", problem.allow.encode()))
    if problem.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if problem.status == 408:
        more.append((b"connection", b"close"))
    if problem.retry_after is not None:
        more.append((b"retry-after", str(problem.retry_after).encode()))
    return Reply(problem.status, MEDIA_TYPE, orjson.dumps(problem.document(ensure_trace(headers))), more)


def result_of(answer: Answer, call: Call, api: Api) -> Any:
    """The part of an answer that is the body. Raises Problem where there is none.

    Errors beside a result are not told: fields that could not be had are null, as their types allow.
    """
    value: Mapping[str, Any] = orjson.loads(answer.body)
    data, errors = value.get("data"), value.get("errors")
    refused = _at(data, call.errors) if call.errors else None
    if refused:
        reasons = [_reason(one) for one in refused]
        code = refused[0]["code"]
        raise Problem(api.status_of(code), code, refused[0]["message"], reasons)
    result = _at(data, call.result)
    if result is not None:
        return result
    if errors:
        raise of_errors(errors, answer.status)
    raise Problem(404, "NOT_FOUND", "There is no such thing, or not for you.")


def _reason(error: Mapping[str, Any]) -> dict[str, Any]:
    reason = {"detail": error["message"], "code": error["code"]}
    return reason | ({"field": error["field"]} if error.get("field") else {})


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _raw_path(scope: Scope) -> str:
    """The path, still percent-encoded: a segment may have a slash in it."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    return path.partition("?")[0].removeprefix(scope.get("root_path", ""))


async def _send(send: Send, status: int, media: str, body: bytes, headers: RawHeaders, length: int) -> None:
    if status == 204:
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
    elif len(body) == length:
        await send_whole(send, status, media.encode(), body, headers)
    else:  # the answer to HEAD has the length of GET's
        kept = [(b"content-type", media.encode()), (b"content-length", str(length).encode()), *headers]
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": body})
