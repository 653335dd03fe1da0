"""What all event payloads have in common."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ``data`` of a CloudEvent. Amounts are minor units, instants ISO 8601 with offset, ids bare ULIDs.

    A field may be added with a default; anything else is a new type with the next version in its name.
    """

    type: ClassVar[str]
    """The CloudEvents ``type`` and the routing key: ``dure.<subgraph>.<event>.v<version>``."""
    subject: ClassVar[str]
    """The name of the field that holds the CloudEvents ``subject``: what the event is about."""
    personal: ClassVar[tuple[str, ...]] = ()
    """The text fields that are sealed (``db.vault``) in outbox, broker and dead letters; handlers see them open."""

    @property
    def subject_id(self) -> str:
        return str(getattr(self, type(self).subject))
