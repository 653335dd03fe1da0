"""What the users subgraph tells."""

from __future__ import annotations

from messaging.events.base import EventData


class UserChanged(EventData, frozen=True, kw_only=True):
    """The facts about a user that others show or decide on. ``deleted``: withdrawn, forget the rest."""

    type = "dure.users.user_changed.v1"
    subject = "user_id"

    user_id: str
    version: int
    display_name: str
    avatar_url: str | None = None
    email_verified: bool = False
    deleted: bool = False


class PartnerChanged(EventData, frozen=True, kw_only=True):
    """A seller. Only ``ACTIVE`` ones sell."""

    type = "dure.users.partner_changed.v1"
    subject = "partner_id"

    partner_id: str
    version: int
    slug: str
    name: str
    status: str
    member_ids: tuple[str, ...] = ()


class PayoutAccountChanged(EventData, frozen=True, kw_only=True):
    """The bank account that a seller is paid to."""

    type = "dure.users.payout_account_changed.v1"
    subject = "partner_id"
    personal = ("bank_account_number", "holder_name")

    partner_id: str
    version: int
    bank_code: str
    bank_account_number: str
    holder_name: str
