"""Within a process events travel as they were told; handlers cannot tell the difference."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from messaging.envelope import decode_batch, encode_data
from messaging.events import EventData
from messaging.handover import Recorded
from messaging.parcels import pack
from tests.messaging.test_envelope import payloads


def _recorded(number: int, data: EventData, *, told_here: bool = True) -> Recorded:
    told = data if told_here else None
    return Recorded(str(number), data.type, "/s", "s", datetime(2026, 1, 1, tzinfo=UTC), encode_data(data), None, told)


@given(st.lists(payloads, min_size=1, max_size=8))
def test_what_is_carried_is_what_the_wire_would_bring(told: list[EventData]) -> None:
    """The same events in the same order, whichever way they go."""
    for parcel in pack(_recorded(number, data) for number, data in enumerate(told)):
        carried = parcel.message(encoded=False)
        assert carried.carried is not None
        assert list(carried.events()) == decode_batch(parcel.message().body)


@given(payloads)
def test_what_was_read_from_the_table_is_encoded(data: EventData) -> None:
    """An event that another process told, or this one before it died, is known only as JSON."""
    (parcel,) = pack([_recorded(1, data), _recorded(2, data, told_here=False)])
    message = parcel.message(encoded=False)
    assert message.carried is None
    assert [event.data for event in message.events()] == [data, data]
