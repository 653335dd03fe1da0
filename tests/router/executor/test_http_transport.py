"""Over HTTP every kind of wrong answer becomes one clean error, with both clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from router.errors import SubgraphError
from router.executor.http_client import AiohttpClient, HttpClient, PyreqwestClient
from router.executor.http_transport import DEADLINE_HEADER, HttpTransport
from router.executor.transport import SubgraphRequest, SubgraphResponse
from tests.support.waiting import eventually

REQUEST = SubgraphRequest("{a}", {"x": [1]}, None, {"x-tenant": "t"}, "query")
CLIENTS: list[Callable[..., HttpClient]] = [PyreqwestClient, AiohttpClient]


def http(
    body: bytes, status: str = "200 OK", content_type: str = "application/json", length: int | None = None
) -> bytes:
    """A response on the wire."""
    declared = len(body) if length is None else length
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {declared}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("make", CLIENTS)
async def test_the_cache_control_header_comes_along(make: Callable[..., HttpClient]) -> None:
    """For the entity cache: an answer may say that it is not to be kept."""
    answer = http(b'{"data": {}}').replace(b"connection:", b"Cache-Control: private, max-age=1\r\nconnection:")
    async with server(answer) as url:
        assert (await execute(make(), url)).cache_control == "private, max-age=1"
    async with server(http(b'{"data": {}}')) as url:
        assert (await execute(make(), url)).cache_control is None


@asynccontextmanager
async def server(answer: bytes, seen: list[bytes] | None = None, *, hang: bool = False) -> AsyncIterator[str]:
    """A server that says the same to everyone, whatever they ask."""
    release = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        body = await reader.readexactly(length)
        if seen is not None:
            seen.append(head + body)
        writer.write(answer)
        if hang:
            await writer.drain()
            await release.wait()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/graphql"
    finally:
        release.set()
        listening.close()


async def execute(client: HttpClient, url: str, max_bytes: int = 10**6) -> SubgraphResponse:
    transport = HttpTransport(url, client, max_bytes=max_bytes)
    try:
        return await transport.execute(REQUEST)
    finally:
        await transport.close()


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_request_is_json_with_the_given_headers(make: Callable[..., HttpClient]) -> None:
    """Query and variables go as JSON, and the answer's data and errors come back."""
    seen: list[bytes] = []
    async with server(http(b'{"data":{"a":1},"errors":[{"message":"m"}],"extensions":{"x":1}}'), seen) as url:
        answer = await execute(make(), url)
    assert answer == SubgraphResponse({"a": 1}, [{"message": "m"}], {"x": 1})
    assert seen[0].startswith(b"POST /graphql")
    assert b"x-tenant: t" in seen[0].lower()
    assert seen[0].endswith(b'{"query":"{a}","variables":{"x":[1]}}')


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(b"<html>Welcome</html>", content_type="text/html"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b'{"data":{"a":'), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b""), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b"[]"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b"{}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b'{"data":[1]}'), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b'{"data":{},"errors":"no"}'), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}"), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b'{"data":{"a":"' + b"x" * 2_000_000 + b'"}}'), "SUBGRAPH_MALFORMED_RESPONSE"),
        (http(b"<html>Bad gateway</html>", "502 Bad Gateway", "text/html"), "SUBGRAPH_HTTP_ERROR"),
        (http(b"", "302 Found"), "SUBGRAPH_HTTP_ERROR"),
        (http(b'{"data":{"a":1}}', length=1000), "SUBGRAPH_UNREACHABLE"),
        (b"nonsense\r\n\r\n", "SUBGRAPH_UNREACHABLE"),
        (b"", "SUBGRAPH_UNREACHABLE"),
    ],
)
async def test_malformed_answers_are_clean_errors(make: Callable[..., HttpClient], answer: bytes, code: str) -> None:
    """HTML, cut JSON, wrong types, depth, size, broken HTTP: a code, and no detail of the failure."""
    async with server(answer) as url:
        with pytest.raises(SubgraphError) as raised:
            await execute(make(), url)
    assert raised.value.code == code
    assert "127.0.0.1" not in raised.value.message


@pytest.mark.parametrize("make", CLIENTS)
async def test_an_error_status_with_a_graphql_response_is_that_response(make: Callable[..., HttpClient]) -> None:
    """Servers may answer with 4xx and a GraphQL response: its errors say more than the status."""
    async with server(http(b'{"errors":[{"message":"bad"}]}', "400 Bad Request")) as url:
        assert await execute(make(), url) == SubgraphResponse(None, [{"message": "bad"}])


@pytest.mark.parametrize("make", CLIENTS)
async def test_ten_megabytes_are_read_whole(make: Callable[..., HttpClient]) -> None:
    """A large answer within the limit arrives complete, in however many pieces."""
    body = b'{"data":{"a":"' + b"x" * 10_000_000 + b'"}}'
    async with server(http(body)) as url:
        answer = await execute(make(), url, 20_000_000)
    assert answer.data is not None
    assert len(answer.data["a"]) == 10_000_000


@pytest.mark.parametrize("make", CLIENTS)
async def test_silence_is_a_timeout(make: Callable[..., HttpClient]) -> None:
    """A server that accepts and says nothing costs the timeout, no more."""
    async with server(b"", hang=True) as url:
        with pytest.raises(SubgraphError) as raised:
            await execute(make(timeout=0.2), url)
    assert raised.value.code == "SUBGRAPH_TIMEOUT"


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_closed_port_is_unreachable(make: Callable[..., HttpClient]) -> None:
    """Nobody listens: the subgraph could not be reached."""
    async with server(b"") as url:
        pass
    with pytest.raises(SubgraphError) as raised:
        await execute(make(), url)
    assert raised.value.code == "SUBGRAPH_UNREACHABLE"


@pytest.mark.parametrize("make", CLIENTS)
async def test_subscriptions_are_read_from_an_event_stream(make: Callable[..., HttpClient]) -> None:
    """Events until "complete"; comments are keep-alives."""
    body = (
        b':\n\nevent: next\ndata: {"data":{"a":1}}\n\nevent: next\r\ndata: {"data":{"a":2}}\r\n\r\nevent: complete\n\n'
    )
    client = make()
    async with server(http(body, content_type="text/event-stream")) as url:
        transport = HttpTransport(url, client)
        events = [event.data async for event in transport.subscribe(REQUEST)]
        await transport.close()
    assert events == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("make", CLIENTS)
async def test_an_event_is_given_when_it_comes(make: Callable[..., HttpClient]) -> None:
    """Not when the stream ends or enough has gathered: the next event may be hours away."""
    body = b'event: next\ndata: {"data":{"a":1}}\n\n'
    async with server(http(body, content_type="text/event-stream", length=10_000), hang=True) as url:
        transport = HttpTransport(url, make())
        events = transport.subscribe(REQUEST)
        first = await asyncio.wait_for(anext(events), 10)
        assert first.data == {"a": 1}
        await events.aclose()
        await transport.close()


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_subscription_that_answers_with_json_is_an_error(make: Callable[..., HttpClient]) -> None:
    """A subgraph without event streams answers otherwise, which must not look like an empty stream."""
    async with server(http(b"{}")) as url:
        transport = HttpTransport(url, make())
        with pytest.raises(SubgraphError):
            _ = [event async for event in transport.subscribe(REQUEST)]
        await transport.close()


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_deadline_goes_along_and_is_kept(make: Callable[..., HttpClient]) -> None:
    """The subgraph is told how long it has, whatever a client sent under that name; then a query is given up."""
    seen: list[bytes] = []
    started = time.monotonic()
    async with server(b"", seen, hang=True) as url:
        transport = HttpTransport(url, make(timeout=60))
        sent = SubgraphRequest("{a}", None, None, {DEADLINE_HEADER: "999999"}, "query", started + 0.2)
        with pytest.raises(SubgraphError) as raised:
            await transport.execute(sent)
        await transport.close()
    assert raised.value.code == "SUBGRAPH_TIMEOUT"
    assert 0.2 <= time.monotonic() - started < 5
    (told,) = [line for line in seen[0].lower().split(b"\r\n") if line.startswith(DEADLINE_HEADER.encode())]
    assert 100 < int(told.split(b":")[1]) <= 200


class Counting:
    """A subgraph that counts connections and answers when it is let."""

    def __init__(self) -> None:
        self.accepted = self.open = self.asked = 0
        self.answers = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        gone = asyncio.Event()
        requests: asyncio.Queue[None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(reader, requests, gone))
        try:
            while not gone.is_set():
                asking = asyncio.create_task(requests.get())
                leaving = asyncio.create_task(gone.wait())
                await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
                asking.cancel()
                answering = asyncio.create_task(self.answers.wait())
                await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
                answering.cancel()
                leaving.cancel()
                if not gone.is_set():
                    body = b'{"data":{"a":1}}'
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        finally:
            self.open -= 1
            reading.cancel()
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, requests: asyncio.Queue[None], gone: asyncio.Event) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                await reader.readexactly(int(length.split(b":")[1]))
                self.asked += 1
                requests.put_nowait(None)
        except (asyncio.IncompleteReadError, ConnectionError):
            gone.set()


@pytest.mark.parametrize("make", CLIENTS)
async def test_fetches_that_are_given_up_leave_no_connections(make: Callable[..., HttpClient]) -> None:
    """Closed at the deadline at the latest; fetches after them are answered, over a connection that is kept."""
    subgraph = Counting()
    async with await asyncio.start_server(subgraph.handle, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        transport = HttpTransport(f"http://127.0.0.1:{port}/graphql", make(timeout=60))

        async def fetch(seconds: float) -> SubgraphResponse:
            deadline = time.monotonic() + seconds
            return await transport.execute(SubgraphRequest("{a}", None, None, {}, "query", deadline))

        given_up = [asyncio.create_task(fetch(0.3)) for _ in range(20)]
        await eventually(lambda: subgraph.asked == 20)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        await eventually(lambda: subgraph.open == 0, timeout=5)
        subgraph.answers.set()
        accepted = subgraph.accepted
        for _ in range(20):
            assert (await fetch(10)).data == {"a": 1}
        assert subgraph.accepted == accepted + 1
        await transport.close()
