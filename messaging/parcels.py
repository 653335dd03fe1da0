"""Events packed into messages: carrying many at once is what makes an event cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from db.ids import new_ulid
from messaging.broker import Message
from messaging.envelope import (
    CONTENT_TYPE,
    ENVELOPE_BYTES,
    MAX_BYTES,
    MAX_EVENTS,
    Envelope,
    Event,
    encode_envelopes,
    seal,
)
from messaging.events import EventData
from messaging.handover import Recorded


@dataclass(slots=True)
class Parcel:
    """Events that go out as one message."""

    type: str
    ids: list[str] = field(default_factory=list)
    events: list[Recorded] = field(default_factory=list)
    size: int = 0

    def takes(self, event: Recorded) -> bool:
        fits = len(self.ids) < MAX_EVENTS and self.size + _size(event) <= MAX_BYTES
        return fits and self.type == event.type

    def add(self, event: Recorded) -> None:
        self.ids.append(event.id)
        self.events.append(event)
        self.size += _size(event)

    @property
    def causes(self) -> list[tuple[str, str | None]]:
        """What the events are about, and the traces that they belong to."""
        return [(event.subject, event.traceparent) for event in self.events]

    def message(self, *, encoded: bool = True) -> Message:
        """Not ``encoded``, events that this process told travel as they are; those of others are encoded anyway."""
        carried = None if encoded else _as_told(self.events)
        body = encode_envelopes([_sealed(event) for event in self.events]) if carried is None else b""
        headers = {"content-type": CONTENT_TYPE}
        return Message(type=self.type, body=body, id=new_ulid(), headers=headers, carried=carried)


def pack(events: Iterable[Recorded]) -> list[Parcel]:
    """Events (in the order of their recording) as few parcels of one type each, those of one subject still in order."""
    parcels: list[Parcel] = []
    last_of_subject: dict[str, int] = {}
    for event in events:
        earliest = last_of_subject.get(event.subject, 0)
        fitting = (n for n in range(earliest, len(parcels)) if parcels[n].takes(event))
        index = next(fitting, len(parcels))
        if index == len(parcels):
            parcels.append(Parcel(event.type))
        parcels[index].add(event)
        last_of_subject[event.subject] = index
    return parcels


def _size(event: Recorded) -> int:
    return len(event.data) + ENVELOPE_BYTES


def _as_told(events: Iterable[Recorded]) -> list[Event[EventData]] | None:
    carried: list[Event[EventData]] = []
    for event in events:
        if event.payload is None:
            return None
        carried.append(
            Event(
                id=event.id,
                type=event.type,
                source=event.source,
                subject=event.subject,
                time=event.time,
                data=event.payload,
                traceparent=event.traceparent,
            )
        )
    return carried


def _sealed(event: Recorded) -> Envelope:
    return seal(
        id=event.id,
        type=event.type,
        source=event.source,
        subject=event.subject,
        time=event.time,
        data=event.data,
        traceparent=event.traceparent,
    )
