"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.pipeline.addresses import KNOWN, Addresses, parse
from router.pipeline.asgi import PEER
from router.settings import Settings
from tests.router.pipeline.client import call
from tests.router.pipeline.subgraphs import router, subgraphs

OURS = ["10.0.0.0/8", "2001:db8:aaaa::/48"]


def address(peer: str, forwarded: str | None) -> str | None:
    headers = {PEER: peer} | ({"x-forwarded-for": forwarded} if forwarded is not None else {})
    return Addresses([ip_network(proxy) for proxy in OURS]).of(headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.2.3.4", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),  # the first is the client's own word
        ("10.0.0.1", "10.9.9.9, 198.51.100.7", "198.51.100.7"),  # also where it pretends to be a proxy
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.9", "10.0.0.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7:51234", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("2001:db8:aaaa::1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("testclient", "198.51.100.7", "testclient"),
    ],
)
def test_the_address_is_the_first_from_the_right_that_is_no_proxy_of_ours(
    peer: str, forwarded: str | None, expected: str
) -> None:
    assert address(peer, forwarded) == expected


def test_other_headers_are_not_read() -> None:
    """A client that sends them, even through our proxy, changes nothing."""
    headers = {PEER: "10.0.0.1", "forwarded": "for=1.1.1.1", "x-real-ip": "1.1.1.1", "x-client-ip": "1.1.1.1"}
    assert Addresses([ip_network("10.0.0.0/8")]).of(headers) == "10.0.0.1"


def test_without_a_connection_there_is_no_address() -> None:
    assert Addresses([ip_network("0.0.0.0/0")]).of({"x-forwarded-for": "1.1.1.1"}) is None


def test_few_readings_are_remembered() -> None:
    """Memory is bounded whatever the header says."""
    addresses = Addresses([ip_network("10.0.0.0/8")])
    for number in range(KNOWN + 10):
        addresses.of({PEER: "10.0.0.1", "x-forwarded-for": f"198.51.{number % 250}.{number // 250}"})
    assert len(addresses._read) == KNOWN


@given(st.lists(st.ip_addresses(), max_size=5), st.text(max_size=30))
def test_nobody_can_pretend_to_be_somebody_else(hops: list[Any], word: str) -> None:
    """Whatever stands left of the address that our proxy saw, that address is the answer."""
    forged = ", ".join([word.replace(",", ""), *map(str, hops)])
    assert address("10.0.0.1", f"{forged}, 198.51.100.7") == "198.51.100.7"
    assert address("192.0.2.1", forged) == "192.0.2.1"


@given(st.ip_addresses())
def test_every_address_is_read(given_address: Any) -> None:
    parsed = parse(str(given_address))
    assert parsed in (given_address, getattr(given_address, "ipv4_mapped", None))


def test_what_is_no_network_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings.model_validate({"trusted_proxies": ["proxy.internal"]})


async def sent_to_subgraphs(forward: tuple[str, ...], **headers: str) -> dict[str, str]:
    """The headers of the fetch that a request from our proxy sets off."""
    served = subgraphs()
    seen: list[SubgraphRequest] = []

    async def execute(request: SubgraphRequest) -> SubgraphResponse:
        seen.append(request)
        return await served["accounts"].execute(request)

    served["accounts"].transport = InProcessTransport(execute)
    app = router(served, Settings.model_validate({"trusted_proxies": OURS, "forward_headers": forward}))
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    await call(app, body=orjson.dumps({"query": "{me{id}}"}), headers=named, peer="10.0.0.1")
    return dict(seen[0].headers)


async def test_subgraphs_are_told_the_address_and_not_what_the_client_wrote() -> None:
    """If they are told it at all."""
    told = await sent_to_subgraphs(("x-forwarded-for",), x_forwarded_for="1.1.1.1, 198.51.100.7")
    assert told["x-forwarded-for"] == "198.51.100.7"
    assert "x-forwarded-for" not in await sent_to_subgraphs((), x_forwarded_for="1.1.1.1, 198.51.100.7")
