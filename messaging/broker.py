"""What a broker is to the rest: publish with confirms, consume with acknowledgements. Two do it: memory, RabbitMQ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from messaging.envelope import Event, decode_batch
from messaging.events import EventData

DELIVERY_LIMIT = 10
"""Times that a message may be delivered again after it was refused."""
PREFETCH = 20
MAX_DELAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """Events of one ``type``: encoded in ``body`` or, within the process that tells them, ``carried`` as they are.
    ``attempt`` counts deliveries to one queue, from 1."""

    type: str
    body: bytes
    id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    carried: Sequence[Event[EventData]] | None = None

    def events(self) -> Sequence[Event[EventData]]:
        """Raises MalformedEvent for a body that is not a batch of known events."""
        return decode_batch(self.body) if self.carried is None else self.carried

    @property
    def redelivered(self) -> bool:
        return self.attempt > 1


class PublishFailed(Exception):
    """Messages that were not confirmed, by id, with the reason. ``down``: the broker itself cannot be reached."""

    def __init__(self, failed: Mapping[str, str], *, down: bool = False) -> None:
        super().__init__("; ".join(f"{id}: {reason}" for id, reason in failed.items()))
        self.failed = dict(failed)
        self.down = down


MessageHandler = Callable[[Message], Awaitable[None]]


class Subscription(Protocol):
    async def cancel(self) -> None:
        """Take no more messages and let the running handlers end; the queue stays, and gathers."""


class Broker(Protocol):
    """Types that no queue takes fail to publish (nothing is lost silently) unless listed as ``unrouted``."""

    in_process: bool
    """Whether events reach their handlers without leaving the process: they need not be encoded then."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when every message is confirmed. Raises PublishFailed, at once when the broker is down."""

    async def consume(
        self, queue: str, types: Sequence[str], handler: MessageHandler, *, prefetch: int = PREFETCH
    ) -> Subscription:
        """Declare ``queue`` for ``types`` and hand its messages to ``handler``, up to ``prefetch`` at once.

        A handler that returns acknowledges; one that raises gets the message again, later and later, up to
        DELIVERY_LIMIT times.
        """

    async def close(self) -> None:
        """Cancel every subscription and let go."""


def redelivery_delay(attempt: int) -> float:
    """Seconds to wait before a message whose ``attempt``-th delivery failed is delivered again."""
    return float(min(MAX_DELAY_SECONDS, 0.1 * 2 ** (attempt - 1)))
