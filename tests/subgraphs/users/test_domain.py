"""The rules by themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.users import domain
from subgraphs.users.common_passwords import COMMON_PASSWORDS
from subgraphs.users.domain import LOGIN, LONGEST_BLOCK, MAIL_REQUESTS, Invalid, Throttle, attempt

START = datetime(2026, 11, 21, tzinfo=UTC)


@given(st.emails())
def test_a_clean_address_stays_what_it_is(address: str) -> None:
    try:
        cleaned = domain.clean_email(address)
    except Invalid:
        return
    assert domain.clean_email(cleaned) == cleaned
    assert cleaned == cleaned.lower()


@given(st.text(max_size=300))
def test_no_text_breaks_the_cleaners_or_gets_control_characters_through(text: str) -> None:
    def password(given: str) -> str:
        return domain.check_password(given, email="a@example.com", common=COMMON_PASSWORDS)

    for clean in (
        domain.clean_email,
        domain.clean_phone,
        domain.clean_business_number,
        lambda given: domain.clean_text(given, what="It", limit=50),
        lambda given: domain.clean_digits(given, what="It", shortest=2, longest=16),
        password,
    ):
        try:
            cleaned = clean(text)
        except Invalid:
            continue
        assert 1 <= len(cleaned) <= 300
        assert "\0" not in cleaned or clean is password  # which may hold anything


@pytest.mark.parametrize(
    "address",
    ["", "a", "@example.com", "a@", "a@b", "a b@example.com", ".a@example.com", "a..b@example.com"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Invalid):
        domain.clean_email(address)


@pytest.mark.parametrize(
    "password",
    ["1234567", "password", "Password1!", "qwerty123", "aaaaaaaa", "abababab", "ａａａａａａａａ", "buyer@example.com"],
)
def test_passwords_that_are_tried_first_are_refused(password: str) -> None:
    with pytest.raises(Invalid):
        domain.check_password(password, email="buyer@example.com", common=COMMON_PASSWORDS)


@pytest.mark.parametrize("password", ["correct horse", "비밀스러운 낱말들", "x7" * 64 + "!", "p4ssed-the-hill"])
def test_passwords_of_any_script_and_length_are_taken(password: str) -> None:
    assert domain.check_password(password, email="buyer@example.com", common=COMMON_PASSWORDS)


@given(st.integers(101, 999), st.integers(1, 99), st.integers(1, 9999), st.integers(0, 9))
def test_one_check_digit_of_ten_is_right(office: int, kind: int, serial: int, digit: int) -> None:
    nine = f"{office}{kind:02}{serial:04}"
    right = domain.business_check_digit(nine)
    number = f"{nine[:3]}-{nine[3:5]}-{nine[5:]}{digit}"
    if digit == right:
        assert domain.clean_business_number(number) == nine + str(digit)
    else:
        with pytest.raises(Invalid):
            domain.clean_business_number(number)


@given(st.sets(st.sampled_from(list(domain.Role))), st.sampled_from(list(domain.Role)))
def test_another_role_never_takes_a_scope_away(roles: set[domain.Role], more: domain.Role) -> None:
    names = {role.value for role in roles}
    assert set(domain.scopes_of(names)) <= set(domain.scopes_of(names | {more.value}))


@given(st.emails().filter(lambda address: len(address.partition("@")[0]) > 2))
def test_a_masked_address_shows_two_characters_at_most(address: str) -> None:
    local, _, host = address.partition("@")
    assert domain.mask_email(address) == f"{local[:2]}***@{host}"


@given(st.text(max_size=100), st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=6, max_size=6))
def test_slugs_are_url_words(name: str, suffix: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", domain.slug_of(name, suffix))


@given(st.lists(st.floats(0, 4000), max_size=60))
def test_guesses_wait_for_their_block_and_get_rarer(
    pauses: list[float],
) -> None:
    state: Throttle | None = None
    now, allowed = START, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        blocked = state is not None and state.blocked_until is not None and now < state.blocked_until
        state, may = attempt(state, LOGIN, now)
        assert may == (not blocked)
        if may:
            allowed.append(now)
    for index in range(len(allowed) - 11):
        # However it is timed, ten more tries after any one take longer than the pauses that five tries cost.
        assert allowed[index + 11] - allowed[index] > timedelta(seconds=31)


def test_blocks_grow_to_an_hour_and_are_forgotten_after_an_hours_rest() -> None:
    state: Throttle | None = None
    now = START
    for _ in range(40):
        state, may = attempt(state, LOGIN, now)
        assert may
        assert state
        now = state.blocked_until or now
    assert state
    assert state.blocked_until
    assert now - START > timedelta(hours=20)
    assert state.blocked_until - START > timedelta(hours=20)
    fresh, may = attempt(state, LOGIN, state.blocked_until + LONGEST_BLOCK)
    assert may
    assert (fresh.tries, fresh.blocks) == (1, 0)


def test_mails_are_three_an_hour() -> None:
    state: Throttle | None = None
    verdicts = []
    for minute in (0, 1, 2, 3, 59, 61):
        state, may = attempt(state, MAIL_REQUESTS, START + timedelta(minutes=minute))
        verdicts.append(may)
    assert verdicts == [True, True, True, False, False, True]


@given(st.sampled_from(list(domain.DECISIONS)), st.lists(st.sampled_from(list(domain.DECISIONS)), max_size=6))
def test_what_is_approved_or_rejected_stays_so(status: str, decisions: list[str]) -> None:
    for decision in decisions:
        if decision in domain.DECISIONS[status]:
            assert status not in (domain.APPROVED, domain.REJECTED)
            status = decision


def test_a_failed_check_is_never_waived() -> None:
    checks = domain.checks_at_submission(terms_agreed=False)
    after = {check.kind: check.status for check in domain.checks_after_decision(checks, domain.APPROVED)}
    assert after["TERMS"] == "FAILED"
    assert after["BANK_ACCOUNT"] == "WAIVED"
