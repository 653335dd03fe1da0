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


class ProjectChanged(EventData, frozen=True, kw_only=True):
    """What a project's page shows has changed: its texts, state, rewards or posts. Whoever keeps it reads again."""

    type = "dure.funding.project_changed.v1"
    subject = "project_id"

    project_id: str
