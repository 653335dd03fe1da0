"""What the funding subgraph tells."""

from __future__ import annotations

from messaging.events.base import EventData


class PledgeReserved(EventData, frozen=True, kw_only=True):
    """A backer has promised ``total``; nothing is charged before the project's deadline."""

    type = "dure.funding.pledge_reserved.v1"
    subject = "pledge_id"

    pledge_id: str
    version: int
    project_id: str
    backer_id: str
    total: int
    currency: str
    payment_method_id: str | None = None
    shipping_address_id: str | None = None


class PledgeCanceled(EventData, frozen=True, kw_only=True):
    """The backer took the promise back; a limited reward's unit is free again."""

    type = "dure.funding.pledge_canceled.v1"
    subject = "pledge_id"

    pledge_id: str
    version: int
    project_id: str
    backer_id: str


class BackerTold(EventData, frozen=True, kw_only=True):
    """Somebody with a live pledge must know this of the project: ``news`` is UPDATED (``changed`` names what), CANCELED
    (for the creator's ``reason``) or FAILED (the goal was not reached). Once a backer, however many pledges."""

    type = "dure.funding.backer_told.v1"
    subject = "backer_id"

    backer_id: str
    project_id: str
    title: str
    news: str
    changed: tuple[str, ...] = ()
    reason: str | None = None


class ProjectChanged(EventData, frozen=True, kw_only=True):
    """What a project's page shows has changed: its texts, state, rewards or posts. Whoever keeps it reads again."""

    type = "dure.funding.project_changed.v1"
    subject = "project_id"

    project_id: str
