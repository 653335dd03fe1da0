"""Broken and hostile HTTP, byte by byte over a socket: a 4xx, never a 5xx, and the next client is answered."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator

import pytest

from tests.support.router import ROOT, serving

BODY_TIMEOUT = 0.5
GOOD = b'{"query":"{__typename}"}'
ANSWER = b'{"data":{"__typename":"Query"}}'
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A router in a process of its own that does not wait long for a body."""
    env = {"ROUTER_BODY_TIMEOUT": str(BODY_TIMEOUT)}
    with serving(ROOT / "schema/supergraph.graphql", "--dev", env=env) as url:
        yield int(url.rpartition(":")[2])


def post(body: bytes, *headers: bytes, content_type: bytes = b"application/json") -> bytes:
    """The bytes of a POST; further headers follow the usual ones."""
    lines = [b"POST /graphql HTTP/1.1", b"Host: x", b"Content-Type: " + content_type, *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def get(query_string: bytes, *headers: bytes) -> bytes:
    """The bytes of a GET."""
    return b"\r\n".join([b"GET /graphql?" + query_string + b" HTTP/1.1", b"Host: x", *headers, b"", b""])


def variables(text: bytes) -> bytes:
    """A body with these variables."""
    return b'{"query":"query($id:ID!){product(id:$id){name}}","variables":' + text + b"}"


async def talk(port: int, *parts: bytes, pause: float = 0) -> bytes:
    """Send the parts, each ``pause`` seconds after the one before; what the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.read())
    try:
        for part in parts:
            writer.write(part)
            await asyncio.wait([reading], timeout=pause)
            if reading.done():
                break
        async with asyncio.timeout(10):
            return await reading
    finally:
        writer.close()


async def statuses(port: int, *requests: bytes) -> list[int]:
    """The status of each answer on one connection. The last request must close it."""
    return [int(found) for found in STATUS.findall(await talk(port, *requests))]


LAST = post(GOOD, b"Connection: close")

REFUSED: dict[str, tuple[bytes, int]] = {
    "no JSON": (post(b"{"), 400),
    "nothing": (post(b""), 400),
    "a null byte": (post(b"\0"), 400),
    "deep JSON": (post(b"[" * 100_000), 400),
    "UTF-16": (post(GOOD.decode().encode("utf-16")), 400),
    "UTF-16, as declared": (post(GOOD, content_type=b"application/json; charset=utf-16"), 415),
    "Latin-1 in UTF-8": (post(b'{"query":"{__typename} #\xe9"}'), 400),
    "an overlong encoding": (post(b'{"query":"{__typename} #\xc0\xaf"}'), 400),
    "a lone surrogate in a variable": (post(variables(b'{"id":"\\ud800"}')), 400),
    "a lone surrogate in bytes": (post(variables(b'{"id":"\xed\xa0\x80"}')), 400),
    "a lone surrogate in a literal": (post(b'{"query":"{product(id:\\"\\\\ud800\\"){name}}"}'), 400),
    "a huge integer": (post(variables(b'{"id":' + b"9" * 5_000 + b"}")), 400),
    "an integer over 64 bits": (post(variables(b'{"id":' + b"9" * 30 + b"}")), 400),
    "a huge literal": (post(b'{"query":"{productSearch(first:' + b"9" * 5_000 + b'){totalCount}}"}'), 400),
    "an endless number": (post(variables(b'{"id":1e999}')), 400),
    "NaN": (post(variables(b'{"id":NaN}')), 400),
    "compressed": (post(gzip.compress(GOOD), b"Content-Encoding: gzip"), 415),
    "a compression bomb": (post(gzip.compress(b" " * 10_000_000), b"Content-Encoding: gzip"), 415),
    "brotli": (post(GOOD, b"Content-Encoding: br"), 415),
    "two encodings": (post(GOOD, b"Content-Encoding: identity, gzip"), 415),
    "two content types": (post(GOOD, b"Content-Type: text/plain"), 415),
    "the same content type twice": (post(GOOD, b"Content-Type: application/json"), 415),
    "two tokens": (post(GOOD, b"Authorization: Bearer a", b"Authorization: Bearer b"), 401),
    "a token of nothing": (post(GOOD, b"Authorization: Bearer"), 401),
    "no acceptable type": (post(GOOD, b"Accept: image/png"), 406),
    "many headers": (post(GOOD, *(b"X-%d: x" % n for n in range(101))), 431),
    "a large header": (post(GOOD, b"X: " + b"x" * 33_000), 431),
    "a body that is announced too large": (post(b" " * 300_000), 413),
    "a parameter twice": (get(b"query=%7B__typename%7D&query=%7B__typename%7D"), 400),
    "a parameter that is no UTF-8": (get(b"query=%7B__typename%7D%23%FF"), 400),
    "a lone surrogate in a parameter": (get(b"query=%7B__typename%7D%23%ED%A0%80"), 400),
    "variables that are no JSON": (get(b"query=%7B__typename%7D&variables=%7B"), 400),
    "many parameters": (get(b"query=%7B__typename%7D" + b"&x=1" * 30), 400),
    "an origin that is none": (get(b"query=%7B__typename%7D", b"Origin: http://["), 403),
    "a method that is not used": (post(GOOD).replace(b"POST", b"DELETE", 1), 405),
    "a mutation in a URL": (get(b"query=mutation%7B__typename%7D"), 405),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_broken_is_refused_and_the_connection_goes_on(port: int, case: str) -> None:
    """The refusal is the client's fault, in JSON; the next request on the same connection is answered."""
    request, status = REFUSED[case]
    request = request.replace(b"Host: x\r\n", b"Host: x\r\nAccept: application/graphql-response+json\r\n", 1)
    if case == "no acceptable type":
        request = request.replace(b"Accept: application/graphql-response+json\r\n", b"")
    said = await talk(port, request, LAST)
    assert [int(found) for found in STATUS.findall(said)] == [status, 200]
    assert b'"errors":[{"message"' in said
    assert said.endswith(ANSWER)


@pytest.mark.parametrize(
    "request_",
    [
        post(GOOD),
        post(GOOD, b"Content-Encoding: identity"),
        post(GOOD, b"Accept: application/json", b"Accept: text/html;q=0.1"),
        post(GOOD, b"Accept: application/json;q=nonsense, */*;q=0.1"),
        post(GOOD, b"Traceparent: zz-zz", b"Accept-Language: \xe9"),
        post(GOOD, content_type=b'application/json; charset="UTF-8"'),
        get(b"query=%7B__typename%7D&operationName=&variables=&extensions="),
    ],
)
async def test_what_only_looks_broken_is_answered(port: int, request_: bytes) -> None:
    """The same bytes without the mistake are a request."""
    assert await statuses(port, request_, LAST) == [200, 200]


async def still_answers(port: int) -> bool:
    return await statuses(port, LAST) == [200]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 2_000,
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHo st: x\r\n\r\n",
    ],
)
async def test_garbage_after_a_request_ends_the_connection_only(port: int, garbage: bytes) -> None:
    """What was answered before stays so, the garbage is a 400, and other clients notice nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        writer.write(post(GOOD))
        answered = await reader.readuntil(ANSWER)
        writer.write(garbage)
        said = await reader.read()
    writer.close()
    assert STATUS.findall(answered + said) == [b"200", b"400"]
    # In one piece with the request before, too: the server may refuse both, and fails at neither.
    assert set(await statuses(port, post(GOOD) + garbage)) <= {200, 400}
    assert await still_answers(port)


async def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    """Several requests in one write, good and bad."""
    together = post(GOOD) + post(b"{") + get(b"query=%7B__typename%7D") + LAST
    assert await statuses(port, together) == [200, 400, 200, 200]


async def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    """408 after the time for bodies, and the connection is closed."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    said = await talk(port, post(GOOD)[:-5])
    assert STATUS.findall(said) == [b"408"]
    assert b"connection: close" in said.lower()
    assert loop.time() - started >= BODY_TIMEOUT
    assert await still_answers(port)


async def test_a_body_that_comes_in_drops_is_not_waited_for(port: int) -> None:
    """That every byte comes in time does not make the body come in time."""
    drops = [post(b" " * 1_000)[:-1_000], *([b" "] * 100)]
    assert STATUS.findall(await talk(port, *drops, pause=BODY_TIMEOUT / 6)) == [b"408"]
    assert await still_answers(port)


async def test_a_body_without_an_announced_length_has_the_same_limit(port: int) -> None:
    """Chunks are counted as they come."""
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
    assert await statuses(port, head + chunks, LAST) == [413, 200]


async def test_clients_that_go_away_leave_nothing_behind(port: int) -> None:
    """Half a request and no more, many times."""
    for cut in range(10, 110, 5):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(GOOD)[:cut])
        writer.close()
    assert await still_answers(port)
