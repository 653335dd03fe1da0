"""What goes on the wire is CloudEvents 1.0, and what is not is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.envelope import Event, MalformedEvent, decode_batch, encode_batch
from messaging.events import EventData
from messaging.events.orders import OrderCanceled, StockLine, StockReservationRequested
from messaging.events.payments import PaymentCaptured
from tests.messaging.world import canceled


def event(data: EventData, id: str = "01ARZ3NDEKTSV4RRFFQ69G5FAV", traceparent: str | None = None) -> Event[EventData]:
    return Event(
        id=id,
        type=data.type,
        source="/dure/orders",
        subject=data.subject_id,
        time=datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC),
        data=data,
        traceparent=traceparent,
    )


def test_the_wire_form_is_a_cloudevents_batch() -> None:
    """Attribute names and forms are those of CloudEvents 1.0's JSON format; ``data`` is the payload itself."""
    wire = json.loads(encode_batch([event(canceled("O1"), traceparent="00-1-2-01")]))
    assert wire == [
        {
            "specversion": "1.0",
            "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "type": "dure.orders.order_canceled.v1",
            "source": "/dure/orders",
            "subject": "O1",
            "time": "2026-11-21T01:02:03.456789Z",
            "data": {"order_id": "O1", "order_number": "N1", "buyer_id": "B1", "reason": "test"},
            "datacontenttype": "application/json",
            "traceparent": "00-1-2-01",
        }
    ]


texts = st.text(max_size=20)
payloads = st.one_of(
    st.builds(OrderCanceled, order_id=texts, order_number=texts, buyer_id=texts, reason=texts),
    st.builds(
        StockReservationRequested,
        order_id=texts,
        buyer_id=texts,
        lines=st.lists(st.builds(StockLine, variant_id=texts, quantity=st.integers(0, 2**53))).map(tuple),
        claim_id=st.none() | texts,
    ),
    st.builds(
        PaymentCaptured,
        payment_id=texts,
        payable_type=texts,
        payable_id=texts,
        payer_id=texts,
        amount=st.integers(0, 2**53),
        currency=texts,
        approved_at=st.datetimes(timezones=st.just(UTC)),
    ),
)


@given(st.lists(st.tuples(payloads, st.none() | texts), max_size=5))
def test_decoding_gives_back_what_was_encoded(cases: list[tuple[EventData, str | None]]) -> None:
    """Events of several types, with and without a trace, are the same after the wire."""
    events = [event(data, traceparent=trace) for data, trace in cases]
    assert decode_batch(encode_batch(events)) == events


def change(**attributes: object) -> bytes:
    wire = json.loads(encode_batch([event(canceled("O1"))]))
    wire[0] |= attributes
    return json.dumps([{key: value for key, value in wire[0].items() if value is not ...}], default=str).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b'[{"id":"1"}]',
        change(type="dure.orders.nobody_knows.v1"),
        change(specversion="0.3"),
        change(time="yesterday"),
        change(time="2026-11-21T01:02:03"),
        change(data={"order_id": "O1"}),
        change(data={"order_id": 1, "order_number": "N", "buyer_id": "B", "reason": "r"}),
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    """No bytes at all, no batch, an unknown type or version, a time without offset, a payload with a hole."""
    with pytest.raises(MalformedEvent):
        decode_batch(body)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    """A consumer need know one error only."""
    try:
        decode_batch(body)
    except MalformedEvent:
        return


def test_unknown_fields_are_passed_over() -> None:
    """A producer may add to a payload, and extensions to an envelope, before its consumers know."""
    body = change(
        data={"order_id": "O", "order_number": "N", "buyer_id": "B", "reason": "r", "more": 1}, partitionkey="x"
    )
    assert decode_batch(body)[0].data == OrderCanceled(order_id="O", order_number="N", buyer_id="B", reason="r")
