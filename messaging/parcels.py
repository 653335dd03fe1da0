"""Events packed into messages: carrying many at once is what makes an event cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from db.ids import new_ulid
from messaging.broker import Message
from messaging.envelope import CONTENT_TYPE, MAX_BYTES, MAX_EVENTS, encode_envelope, seal
from messaging.handover import Recorded


@dataclass(slots=True)
class Parcel:
    """Events that go out as one message."""

    type: str
    ids: list[str] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    causes: list[tuple[str, str | None]] = field(default_factory=list)
    size: int = 2

    def takes(self, type: str, size: int) -> bool:
        return self.type == type and len(self.ids) < MAX_EVENTS and self.size + size < MAX_BYTES

    def add(self, recorded: Recorded, event: bytes) -> None:
        self.ids.append(recorded.id)
        self.events.append(event)
        self.causes.append((recorded.subject, recorded.traceparent))
        self.size += len(event) + 1

    def message(self) -> Message:
        headers = {"content-type": CONTENT_TYPE}
        return Message(type=self.type, body=b"[" + b",".join(self.events) + b"]", id=new_ulid(), headers=headers)


def pack(events: Iterable[Recorded]) -> list[Parcel]:
    """Events (in the order of their recording) as few parcels of one type each, those of one subject still in order."""
    parcels: list[Parcel] = []
    last_of_subject: dict[str, int] = {}
    for each in events:
        event = encode_envelope(
            seal(
                id=each.id,
                type=each.type,
                source=each.source,
                subject=each.subject,
                time=each.time,
                data=each.data,
                traceparent=each.traceparent,
            )
        )
        earliest = last_of_subject.get(each.subject, 0)
        fitting = (n for n in range(earliest, len(parcels)) if parcels[n].takes(each.type, len(event)))
        index = next(fitting, len(parcels))
        if index == len(parcels):
            parcels.append(Parcel(each.type))
        parcels[index].add(each, event)
        last_of_subject[each.subject] = index
    return parcels
