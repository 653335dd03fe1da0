"""Who sees settlements, and what of them."""

from __future__ import annotations

from typing import Any

import pytest

from subgraphs.kit.ids import new_ulid
from tests.subgraphs.payments.settling.conftest import BALANCE, CLOSE, OPERATOR, PAY, TRIAL, Market, Seller, amounts
from tests.support.statements import statements_of

LIST = """query($from: Date!, $to: Date!, $partner: ID, $first: Int, $after: String) {
  settlements(from: $from, to: $to, partnerId: $partner, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { id periodEnd partner { id } payable { amount } } } } }"""
BY_KEY = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Settlement { id } } }"


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    return sqlite_database_url


@pytest.fixture
async def two(market: Market) -> tuple[tuple[Seller, str], tuple[Seller, str]]:
    """Two sellers with a settlement each."""
    found = []
    for _ in range(2):
        seller = await market.seller()
        await market.sale((seller, 10_000))
        found.append((seller, (await market.close(seller, market.tomorrow()))["settlement"]["id"]))
    return found[0], found[1]


async def listed(market: Market, user: str | None, scopes: tuple[str, ...], **more: Any) -> list[str]:
    given = {"from": "2020-01-01", "to": market.today().isoformat()} | more
    answer = await market.world.ask(LIST, user, scopes=scopes, **given)
    assert "errors" not in answer, answer
    return [edge["node"]["id"] for edge in answer["data"]["settlements"]["edges"]]


async def test_sellers_see_their_own_and_operators_all(
    market: Market, two: tuple[tuple[Seller, str], tuple[Seller, str]]
) -> None:
    (one, its), (other, others) = two
    read = ("settlements:read",)
    assert await listed(market, one.member, read) == [its]
    assert await listed(market, one.member, read, partner=other.global_id) == []
    assert await listed(market, new_ulid(), read) == []
    assert await listed(market, market.operator, OPERATOR) == [others, its]
    assert await listed(market, market.operator, OPERATOR, partner=one.global_id) == [its]
    assert await listed(market, market.operator, OPERATOR, partner="nonsense") == []
    given = [{"__typename": "Settlement", "id": id} for id in (its, others, "nonsense")]
    answer = await market.world.ask(BY_KEY, one.member, r=given)
    assert answer["data"]["_entities"] == [{"id": its}, None, None]


async def test_settlements_by_key_cost_the_same_statements_however_many(
    market: Market, two: tuple[tuple[Seller, str], tuple[Seller, str]]
) -> None:
    numbers = []
    for ids in ([two[0][1]], [two[0][1], two[1][1]]):
        given = [{"__typename": "Settlement", "id": id} for id in ids]
        with statements_of(market.world.database) as statements:
            await market.ask(BY_KEY, r=given)
        numbers.append(len(statements))
    assert numbers == [1, 1]


async def test_a_list_is_paged_and_bounded_by_days(
    market: Market, two: tuple[tuple[Seller, str], tuple[Seller, str]]
) -> None:
    (_, first), (_, second) = two
    given = {"from": "2020-01-01", "to": "2090-01-01", "first": 1}
    page = (await market.ask(LIST, **given))["data"]["settlements"]
    assert [edge["node"]["id"] for edge in page["edges"]] == [second]
    assert page["pageInfo"]["hasNextPage"]
    rest = (await market.ask(LIST, **given, after=page["pageInfo"]["endCursor"]))["data"]["settlements"]
    assert [edge["node"]["id"] for edge in rest["edges"]] == [first]
    ended = page["edges"][0]["node"]["periodEnd"]
    assert await listed(market, market.operator, OPERATOR, **{"from": ended, "to": ended}) == []
    refused = await market.ask(LIST, **given, after="nonsense")
    assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("query", "given"),
    [
        (CLOSE, {"partner": "x", "end": "2026-01-01", "key": "k"}),
        (PAY, {"id": "x", "key": "k"}),
        (TRIAL, {"on": "2026-01-01"}),
        (LIST, {"from": "2026-01-01", "to": "2026-01-01"}),
        (BALANCE, {"r": [{"__typename": "Partner", "id": "x"}]}),
    ],
)
async def test_scopes_are_checked_here_too(market: Market, query: str, given: dict[str, Any]) -> None:
    """Whatever the router lets through."""
    for user, code in ((market.buyer, "FORBIDDEN"), (None, "UNAUTHENTICATED")):
        answer = await market.world.ask(query, user, scopes=["orders:read"], **given)
        assert answer["errors"][0]["extensions"]["code"] == code


async def test_a_balance_is_its_sellers_only(
    market: Market, two: tuple[tuple[Seller, str], tuple[Seller, str]]
) -> None:
    (one, _), (other, _) = two
    given = [{"__typename": "Partner", "id": each} for each in (one.global_id, other.global_id, "nonsense")]
    answer = await market.world.ask(BALANCE, one.member, scopes=["partner:self"], r=given)
    mine, *others = answer["data"]["_entities"]
    assert amounts(mine["balance"]) == {"pending": 0, "available": 8_900, "paidOut": 0}
    assert others == [{"balance": None}, {"balance": None}]
