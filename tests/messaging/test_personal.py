"""What is personal in an event is sealed on its way and open to its handler."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from messaging.envelope import Event, MalformedEvent, decode_batch, decode_data, encode_batch, encode_data
from messaging.events.delivery import AddressChanged

ADDRESS = AddressChanged(
    address_id="A",
    version=1,
    user_id="U",
    recipient="김하나",
    phone="+821012345678",
    postal_code="06236",
    line1="테헤란로 1",
)


def event(data: AddressChanged) -> Event[AddressChanged]:
    return Event(id="1", type=data.type, source="/t", subject="A", time=datetime.now(UTC), data=data)


def test_a_message_shows_nothing_personal_and_opens_to_what_it_was() -> None:
    message = encode_batch([event(ADDRESS)])
    for secret in ("김하나", "1012345678", "06236", "테헤란로"):
        assert secret not in message.decode()
    assert '"address_id":"A"' in message.decode(), "what is not personal stays readable"
    assert [each.data for each in decode_batch(message)] == [ADDRESS]


def test_an_event_of_an_older_version_is_read_as_it_is() -> None:
    assert decode_data(ADDRESS.type, msgspec.json.encode(ADDRESS)) == ADDRESS


def test_a_seal_from_another_place_is_malformed() -> None:
    fields = msgspec.json.decode(encode_data(ADDRESS))
    fields["recipient"], fields["line1"] = fields["line1"], fields["recipient"]
    body = msgspec.json.decode(encode_batch([event(ADDRESS)]))
    body[0]["data"] = fields
    with pytest.raises(MalformedEvent, match="recipient"):
        decode_batch(msgspec.json.encode(body))
