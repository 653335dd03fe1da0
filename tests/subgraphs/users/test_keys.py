"""Signing keys: one set for all processes, replaced without a token that nobody can verify."""

from __future__ import annotations

import pytest
from httpx import ASGITransport, AsyncClient
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from subgraphs.kit.subgraph import Runtime
from subgraphs.users import app
from subgraphs.users.keys import SigningKeys
from subgraphs.users.models import signing_keys
from tests.subgraphs.users.conftest import World


def another_process(world: World) -> SigningKeys:
    return SigningKeys(world.database, world.deps.settings, world.clock)


def verified(token: str, jwks: object) -> str:
    claims = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["EdDSA"]).claims  # type: ignore[arg-type]
    return str(claims["sub"])


def key_of(token: str, jwks: object) -> str:
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["EdDSA"])  # type: ignore[arg-type]
    return str(decoded.header["kid"])


async def test_every_process_knows_the_keys_of_the_others(any_world: World) -> None:
    one, two = another_process(any_world), another_process(any_world)
    token = await one.sign({"sub": "U"})
    assert verified(token, await two.jwks()) == "U"
    assert verified(await two.sign({"sub": "V"}), await one.jwks()) == "V"


async def test_only_public_parts_are_published(world: World) -> None:
    await world.deps.keys.sign({"sub": "U"})
    (key,) = (await world.deps.keys.jwks())["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}


async def test_a_key_is_published_before_it_signs_and_after_its_last_token(world: World) -> None:
    keys = another_process(world)
    old_token = await keys.sign({"sub": "U"})
    world.clock.pass_(days=91)
    await keys.rotate()
    cached = await keys.jwks()
    assert len(cached["keys"]) == 2
    token = await keys.sign({"sub": "U"})
    assert key_of(token, cached) == key_of(old_token, cached)
    world.clock.pass_(minutes=16)
    newer = await keys.sign({"sub": "U"})
    assert verified(newer, cached) == "U"
    assert key_of(newer, cached) != key_of(token, cached)
    await keys.rotate()
    assert len((await keys.jwks())["keys"]) == 2, "tokens of the old key still live"
    world.clock.pass_(minutes=26)
    await keys.rotate()
    assert len((await keys.jwks())["keys"]) == 1
    assert verified(newer, await keys.jwks()) == "U"
    with pytest.raises((JoseError, ValueError)):
        verified(old_token, await keys.jwks())


async def test_rotating_early_changes_nothing(world: World) -> None:
    for _ in range(3):
        await world.deps.keys.rotate()
    assert len(await world.rows(signing_keys)) == 1


async def test_the_key_set_is_served_and_given_in_process(world: World) -> None:
    client = AsyncClient(transport=ASGITransport(world.subgraph.app), base_url="http://users")
    served = (await client.get("/.well-known/jwks.json")).json()
    assert served["keys"]
    assert served == await world.subgraph.app.state.jwks()
    runtime = Runtime(None, world.database, None, world.changes, world.clock)  # type: ignore[arg-type]
    assert served == await app.jwks_source(runtime)()
