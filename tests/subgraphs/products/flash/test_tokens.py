"""An admission is good for one customer, one sale and a while; nothing else opens the door."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kit.errors import Rejected
from subgraphs.products.flash.tokens import AdmissionTokens

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(minutes=2)
TOKENS = AdmissionTokens("a secret")
GOOD = TOKENS.issue("ticket", "sale", "user", UNTIL)


def refusal(token: str, sale: str = "sale", user: str = "user", now: datetime = NOW) -> str:
    with pytest.raises(Rejected) as refused:
        TOKENS.check(token, sale, user, now)
    return refused.value.code


def test_the_good_one_opens() -> None:
    """Until the last millisecond."""
    assert TOKENS.check(GOOD, "sale", "user", NOW) == "ticket"
    assert TOKENS.check(GOOD, "sale", "user", UNTIL - timedelta(milliseconds=1)) == "ticket"


def test_time_person_and_sale_must_fit() -> None:
    assert refusal(GOOD, now=UNTIL) == "QUEUE_TICKET_EXPIRED"
    assert refusal(GOOD, user="another") == "QUEUE_TICKET_REQUIRED"
    assert refusal(GOOD, sale="another") == "QUEUE_TICKET_REQUIRED"


def test_another_shops_secret_signs_nothing_here() -> None:
    assert refusal(AdmissionTokens("another").issue("ticket", "sale", "user", UNTIL)) == "QUEUE_TICKET_REQUIRED"


def test_what_is_said_cannot_be_changed() -> None:
    """A later end, another customer: the signature is over all of it."""
    _, signature = GOOD.split(".")
    for content in (["ticket", "sale", "user", 99999999999999], ["ticket", "sale", "thief", 99999999999999]):
        body = base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()
        assert refusal(f"{body}.{signature}", user=content[2]) == "QUEUE_TICKET_REQUIRED"


@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_no_single_character_can_be_changed(at: int, other: str) -> None:
    """But for the bits at the end of base64 that carry nothing, any change is refused, and none breaks anything."""
    changed = GOOD[:at] + other + GOOD[at + 1 :]
    carries_nothing = at in (GOOD.index(".") - 1, len(GOOD) - 1)
    if changed != GOOD and not (carries_nothing and opens(changed)):
        assert refusal(changed) == "QUEUE_TICKET_REQUIRED"


def opens(token: str) -> bool:
    try:
        return TOKENS.check(token, "sale", "user", NOW) == "ticket"
    except Rejected:
        return False


@given(st.text(max_size=700) | st.text(max_size=60).map(lambda text: f"{text}.{text}"))
def test_rubbish_is_refused(token: str) -> None:
    assert refusal(token) == "QUEUE_TICKET_REQUIRED"
