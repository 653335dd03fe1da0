"""Dates that some zone or some database cannot say are refused at the door."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import CLAIMS_HEADER, ClaimsVerifier, sign_claims


@strawberry.type
class Query:
    @strawberry.field
    def instant(self, at: datetime) -> str:
        return at.astimezone(UTC).isoformat() if at.tzinfo else "naive"

    @strawberry.field
    def day(self, on: date) -> str:
        return on.isoformat()


SCHEMA = strawberry.federation.Schema(query=Query)
ENDPOINT: GraphQLEndpoint[Caller] = GraphQLEndpoint(SCHEMA, lambda caller: caller, ClaimsVerifier("s"))
INSTANT = "query($at: DateTime!) { instant(at: $at) }"


async def ask(query: str, **variables: Any) -> dict[str, Any]:
    headers = {CLAIMS_HEADER: sign_claims("s", {"sub": "U1", "exp": time.time() + 60})}
    return await ENDPOINT.execute(query, variables, None, headers)


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00:00+14:00",
        "0999-12-31T23:59:59Z",
        "1000-01-01T00:00:00+00:01",
        "9999-01-01T00:00:00Z",
        "9998-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.999999-14:00",
        "0001-01-01T00:00:00",
    ],
)
async def test_an_instant_outside_of_the_years_is_refused(at: str) -> None:
    """As a variable and in the document."""
    for answer in (await ask(INSTANT, at=at), await ask(f'{{ instant(at: "{at}") }}')):
        (error,) = answer["errors"]
        assert "in the years 1000 to 9998" in error["message"]
        assert error["extensions"]["code"] in ("BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED")


async def test_a_day_outside_of_the_years_is_refused() -> None:
    for on in ("0001-01-01", "0999-12-31", "9999-12-31"):
        (error,) = (await ask("query($on: Date!) { day(on: $on) }", on=on))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    for on in ("1000-01-01", "9998-12-31"):
        assert (await ask("query($on: Date!) { day(on: $on) }", on=on))["data"] == {"day": on}


@given(st.datetimes(datetime(1000, 1, 2), datetime(9998, 12, 30), timezones=st.timezones()))
async def test_every_other_instant_is_taken(at: datetime) -> None:
    answer = await ask(INSTANT, at=at.isoformat())
    offset = at.utcoffset()
    if offset is not None and offset.microseconds == 0 and offset.seconds % 60 == 0:
        assert answer["data"]["instant"] == at.astimezone(UTC).isoformat()


async def test_two_doors_to_one_schema_bound_it_once() -> None:
    """Else every door would add a look."""
    before = SCHEMA._schema.get_type("DateTime").coerce_input_value  # type: ignore[union-attr]
    GraphQLEndpoint(SCHEMA, lambda caller: caller, ClaimsVerifier("s"))
    assert SCHEMA._schema.get_type("DateTime").coerce_input_value is before  # type: ignore[union-attr]
