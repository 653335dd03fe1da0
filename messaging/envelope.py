"""CloudEvents 1.0 in the JSON batch format: what is on the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Generic, TypeVar

import msgspec

from db import vault
from db.vault import Unreadable, is_sealed
from messaging.events import CATALOGUE, EventData

CONTENT_TYPE = "application/cloudevents-batch+json"
MAX_EVENTS = 64
"""Events in one message: carrying many is ten times cheaper than sending many."""
MAX_BYTES = 100 * 1024
"""Of one message: it stays in one AMQP frame (128 KiB)."""

ENVELOPE_BYTES = 1024
"""What an event takes besides its data, at most."""

D = TypeVar("D", bound=EventData, covariant=True)


class MalformedEvent(Exception):
    """Bytes that are not a batch of known events; delivering them again would not help."""


class Event(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """One event: ``data`` and its CloudEvents context attributes. ``id`` is a ULID, ``time`` is in UTC."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: D
    traceparent: str | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event whose ``data`` is still JSON text, as the outbox keeps it and the wire carries it."""

    specversion: str
    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: msgspec.Raw
    datacontenttype: str = ""
    traceparent: str | None = None


_batch_decoder = msgspec.json.Decoder(list[Envelope])
_encoder = msgspec.json.Encoder()


def encode_batch(events: Sequence[Event[EventData]]) -> bytes:
    """The events as one JSON array."""
    return encode_envelopes(
        [
            seal(
                id=event.id,
                type=event.type,
                source=event.source,
                subject=event.subject,
                time=event.time,
                data=encode_data(event.data),
                traceparent=event.traceparent,
            )
            for event in events
        ]
    )


def encode_envelopes(envelopes: Sequence[Envelope]) -> bytes:
    """The envelopes as one JSON array."""
    return _encoder.encode(envelopes)


def encode_data(data: EventData) -> bytes:
    """An event's payload as JSON, what is personal in it sealed."""
    if data.personal:
        ring = vault.ring()
        data = _with_personal(data, lambda text, place: ring.seal(text, place))
    return _encoder.encode(data)


def decode_data(type: str, data: bytes | str | msgspec.Raw) -> EventData:
    """The payload of an event of this known type. Raises msgspec.DecodeError, or Unreadable for what is sealed."""
    payload = _data_decoder(type).decode(data)
    if payload.personal:
        ring = vault.ring()
        # What an older version told, and what was erased, is plain.
        payload = _with_personal(payload, lambda text, place: ring.open(text, place) if is_sealed(text) else text)
    return payload


def _with_personal(data: EventData, change: Callable[[str, str], str]) -> EventData:
    texts = {name: getattr(data, name) for name in data.personal}
    changed = {name: change(text, f"{data.type}:{name}") for name, text in texts.items() if text}
    return msgspec.structs.replace(data, **changed)


def seal(
    *, id: str, type: str, source: str, subject: str, time: datetime, data: bytes, traceparent: str | None
) -> Envelope:
    """Put a payload that is JSON already into its envelope, untouched."""
    return Envelope(
        specversion="1.0",
        id=id,
        type=type,
        source=source,
        subject=subject,
        time=time,
        data=msgspec.Raw(data),
        datacontenttype="application/json",
        traceparent=traceparent,
    )


def decode_batch(body: bytes) -> list[Event[EventData]]:
    """The events of a message. Raises MalformedEvent for anything that is not CloudEvents 1.0 of known types."""
    try:
        return [_open(envelope) for envelope in _batch_decoder.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, Unreadable) as error:
        raise MalformedEvent(f"not a batch of events: {error}") from error


def _open(envelope: Envelope) -> Event[EventData]:
    if envelope.specversion != "1.0":
        raise MalformedEvent(f"CloudEvents {envelope.specversion!r} of event {envelope.id} is not supported")
    if envelope.type not in CATALOGUE:
        raise MalformedEvent(f"unknown type {envelope.type!r} of event {envelope.id}")
    if envelope.time.tzinfo is None:
        raise MalformedEvent(f"time of event {envelope.id} has no offset")
    return Event(
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        time=envelope.time.astimezone(UTC),
        data=decode_data(envelope.type, envelope.data),
        traceparent=envelope.traceparent,
    )


@cache
def _data_decoder(type: str) -> msgspec.json.Decoder[EventData]:
    return msgspec.json.Decoder(CATALOGUE[type])
