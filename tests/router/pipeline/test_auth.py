"""Tokens, claims, and what callers may read."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from pydantic import SecretStr

from router.errors import RequestError
from router.pipeline.auth import ANONYMOUS, TokenVerifier
from router.settings import Settings, TokenSettings
from tests.router.pipeline.client import data, post
from tests.router.pipeline.subgraphs import router, subgraphs

ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
TOKENS = TokenSettings(issuer="https://issuer", audience="shop")


def token(key: Any = ED, alg: str = "EdDSA", **claims: Any) -> str:
    """A token that is valid unless ``claims`` say otherwise."""
    valid = {"iss": "https://issuer", "aud": "shop", "sub": "u1", "exp": int(time.time()) + 600}
    found = {name: value for name, value in (valid | claims).items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid}, found, key, algorithms=[alg])


class Issuer:
    """Publishes keys, and counts how often it is asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if not self.keys:
            raise OSError("down")
        return dict(KeySet(self.keys).as_dict(private=False))


@pytest.mark.parametrize(("key", "alg"), [(ED, "EdDSA"), (ED, "Ed25519"), (RSA, "RS256"), (EC, "ES256")])
async def test_tokens_of_every_algorithm_are_verified_once(key: Any, alg: str) -> None:
    """Subject, session, roles and scopes are read; a second look at the same token needs no keys."""
    issuer = Issuer(ED, RSA, EC)
    verifier = TokenVerifier(TOKENS, issuer)
    header = f"Bearer {token(key, alg, sid='s1', roles=['b', 'a'], scope='read write', scopes=['admin'])}"
    identity = await verifier.identify(header)
    assert (identity.subject, identity.session, identity.roles) == ("u1", "s1", ("a", "b"))
    assert identity.scopes == {"read", "write", "admin"}
    assert await verifier.identify(header) is identity
    assert issuer.asked == 1


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Basic abc",
        "Bearer nonsense",
        f"Bearer {token(exp=int(time.time()) - 60)}",
        f"Bearer {token(exp=None)}",
        f"Bearer {token(iss='https://other')}",
        f"Bearer {token(aud='other')}",
        f"Bearer {token(sub=None)}",
        f"Bearer {token(OKPKey.generate_key('Ed25519', {'kid': 'ed'}))}",
        f"Bearer {token()[:-4]}AAAA",
    ],
)
async def test_bad_tokens_are_refused(header: str) -> None:
    """401 for what is expired, foreign, forged or no token at all; never taken for anonymous."""
    with pytest.raises(RequestError) as raised:
        await TokenVerifier(TOKENS, Issuer(ED)).identify(header)
    assert (raised.value.status, raised.value.code) == (401, "UNAUTHENTICATED")


async def test_an_unsigned_token_is_refused() -> None:
    """The "none" algorithm is not among the accepted ones."""
    body = token().split(".")[1]
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    with pytest.raises(RequestError):
        await TokenVerifier(TOKENS, Issuer(ED)).identify(f"Bearer {unsigned}")


async def test_a_remembered_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of verified tokens does not outlive them."""
    verifier = TokenVerifier(TOKENS, Issuer(ED))
    header = f"Bearer {token()}"
    await verifier.identify(header)
    later = time.time() + 3600
    monkeypatch.setattr("time.time", lambda: later)
    with pytest.raises(RequestError):
        await verifier.identify(header)


async def test_keys_are_kept_while_the_issuer_is_down() -> None:
    """Known keys go on verifying; without any, the caller is told to come back, and is not anonymous."""
    issuer = Issuer(ED)
    verifier = TokenVerifier(TOKENS.model_copy(update={"jwks_lifetime": 0.0}), issuer)
    await verifier.identify(f"Bearer {token()}")
    issuer.keys = []
    assert (await verifier.identify(f"Bearer {token(sub='u2')}")).subject == "u2"
    with pytest.raises(RequestError) as raised:
        await TokenVerifier(TOKENS, Issuer()).identify(f"Bearer {token()}")
    assert raised.value.status == 503
    assert await TokenVerifier(TOKENS, Issuer()).identify(None) is ANONYMOUS


async def test_claims_go_to_subgraphs_signed_and_for_a_short_time() -> None:
    """Anonymous or signed in, subgraphs get claims that only the router can have written."""
    served = subgraphs()
    settings = Settings(claims_secret=SecretStr("shared"), tokens=TOKENS)
    app = router(served, settings, key_source=Issuer(ED))
    await data(app, "{me{id}}", router_claims="forged")
    await data(app, "{me{id}}", authorization=f"Bearer {token(scope='bots', roles=['seller'], sid='s')}")
    found = []
    for request in served["accounts"].requests:
        body, _, signature = request.headers["router-claims"].partition(".")
        expected = hmac.digest(b"shared", body.encode(), "sha256")
        assert urlsafe_b64decode(signature + "=" * (-len(signature) % 4)) == expected
        found.append(orjson.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4))))
    anonymous, signed_in = found
    assert anonymous["sub"] is None
    assert 0 < anonymous["exp"] - time.time() <= 60
    assert (signed_in["sub"], signed_in["sid"]) == ("u1", "s")
    assert (signed_in["roles"], signed_in["scopes"]) == (["seller"], ["bots"])


async def test_a_refused_token_stops_the_request() -> None:
    """401 whatever the media type, and nothing is fetched."""
    served = subgraphs()
    app = router(served, Settings(tokens=TOKENS), key_source=Issuer(ED))
    response = await post(app, "{me{id}}", authorization="Bearer nonsense")
    assert response.status == 401
    assert served["accounts"].requests == []


async def test_unauthorised_fields_are_null_and_not_fetched() -> None:
    """An error with the field's path; the rest is answered; the subgraph is not asked for it."""
    served = subgraphs()
    app = router(served, Settings(tokens=TOKENS), key_source=Issuer(ED))
    answer = (await post(app, "{me{id mail:email name}}")).json
    assert answer["data"] == {"me": {"id": "1", "mail": None, "name": "Ada"}}
    assert list(answer["data"]["me"]) == ["id", "mail", "name"]
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["me", "mail"], "UNAUTHENTICATED")
    assert "email" not in served["accounts"].requests[0].query
    signed_in = await data(app, "{me{id mail:email name}}", authorization=f"Bearer {token()}")
    assert signed_in["me"]["mail"] == "ada@example.org"


async def test_an_unauthorised_non_null_field_takes_its_parent_along() -> None:
    """Null propagation holds for what is denied too, with one error; granted scopes open it."""
    served = subgraphs()
    app = router(served, Settings(tokens=TOKENS), key_source=Issuer(ED))
    for scope, code in (("", "FORBIDDEN"), ("root", "FORBIDDEN"), ("root sudo", None), ("admin", None)):
        answer = (await post(app, "{secret}", authorization=f"Bearer {token(scope=scope)}")).json
        if code:
            assert answer["data"] is None
            assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
        else:
            assert answer == {"data": {"secret": "42"}}
    assert len(served["accounts"].requests) == 2


async def test_authorization_holds_through_interfaces() -> None:
    """A field selected on an interface is denied for the object types that deny it, and given for the others."""
    served = subgraphs()
    app = router(served, Settings(tokens=TOKENS), key_source=Issuer(ED))
    query = "{actors{name id}}"
    answer = (await post(app, query)).json
    assert answer["data"] == {"actors": [{"name": "Ada", "id": "1"}, {"name": None, "id": "b"}]}
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "Robot" not in str(answer)
    granted = await data(app, query, authorization=f"Bearer {token(scope='bots')}")
    assert granted == {"actors": [{"name": "Ada", "id": "1"}, {"name": "Robot", "id": "b"}]}


async def test_an_unauthorised_mutation_runs_nothing() -> None:
    """One denied root field stops the others too: half a mutation is worse than none."""
    served = subgraphs()
    app = router(served)
    answer = (await post(app, 'mutation{rename(name:"x"){id} erase}')).json
    assert "data" not in answer or answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert served["accounts"].requests == []
