"""The tables of the users subgraph. Tokens are kept as hashes, personal data sealed; what a withdrawn user typed is
erased."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Row, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db import vault
from db.base import TABLE_OPTIONS, new_metadata
from db.columns import JsonType, UlidType, UtcDateTime
from db.sealed import IndexType, Sealed
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table
from subgraphs.kit.media.models import STATUS_KNOWN, Upload

HASH = String(64)

AnyRow = Row[*tuple[Any, ...]]


def email_index(email: str) -> str:
    """What finds the rows of an e-mail address (in the form that ``domain.clean_email`` gives)."""
    return vault.ring().index(email, "users.email")


def phone_index(phone: str) -> str:
    """What finds the rows of a phone number (E.164)."""
    return vault.ring().index(phone, "users.phone")


class Base(DeclarativeBase):
    metadata = new_metadata()


class User(Base):
    """A person. A withdrawn one keeps its row, for what refers to it, and nothing personal."""

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint("deleted_at IS NULL OR email IS NULL", name="withdrawn_is_anonymous"),
        CheckConstraint("(email IS NULL) = (email_index IS NULL)", name="email_is_found"),
        CheckConstraint("(phone IS NULL) = (phone_index IS NULL)", name="phone_is_found"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    email: Mapped[str | None] = mapped_column(Sealed("users.user_account.email"))
    email_index: Mapped[str | None] = mapped_column(IndexType, unique=True)
    name: Mapped[str | None] = mapped_column(Sealed("users.user_account.name"))
    phone: Mapped[str | None] = mapped_column(Sealed("users.user_account.phone"))
    phone_index: Mapped[str | None] = mapped_column(IndexType, index=True)
    display_name: Mapped[str] = mapped_column(String(50))
    avatar_url: Mapped[str | None] = mapped_column(String(500))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    email_verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    locale: Mapped[str] = mapped_column(String(35))
    time_zone: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deletion_reason: Mapped[str | None] = mapped_column(Sealed("users.user_account.deletion_reason"))


class AvatarUpload(Upload, Base):
    """A picture of himself that a user may send or has sent. USED: shown as his ``avatar_url``."""

    __tablename__ = "avatar_upload"
    __table_args__ = (
        CheckConstraint(STATUS_KNOWN, name="status_known"),
        Index("ix_avatar_upload_owner_id_status", "owner_id", "status"),
        Index("ix_avatar_upload_status_created_at", "status", "created_at"),
        TABLE_OPTIONS,
    )


class UserRole(Base):
    """A role that a user has."""

    __tablename__ = "user_role"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)


class TermsAgreement(Base):
    """That a user agreed to a version of the terms."""

    __tablename__ = "terms_agreement"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"), primary_key=True)
    term_version: Mapped[str] = mapped_column(String(64), primary_key=True)
    agreed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Session(Base):
    """A log-in on a device: the family of the refresh tokens that follow one another."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user_id_revoked_at", "user_id", "revoked_at"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"))
    device_name: Mapped[str | None] = mapped_column(Sealed("users.session.device_name"))
    ip_address: Mapped[str | None] = mapped_column(Sealed("users.session.ip_address"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefreshToken(Base):
    """One refresh token. Used twice, it was stolen: its session ends."""

    __tablename__ = "refresh_token"
    __table_args__ = (TABLE_OPTIONS,)

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    session_id: Mapped[str] = mapped_column(UlidType, ForeignKey("session.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OneTimeToken(Base):
    """A link sent by e-mail. ``purpose``: VERIFY_EMAIL or RESET_PASSWORD."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index("ix_one_time_token_user_id_purpose", "user_id", "purpose"), TABLE_OPTIONS)

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    address: Mapped[str | None] = mapped_column(Sealed("users.one_time_token.address"))
    """Where the link was sent, if its user has no e-mail address yet: opening it gives him this one."""


class SocialAccount(Base):
    """An account at a provider that a user logs in with; found by a blind index of the provider's own id."""

    __tablename__ = "social_account"
    __table_args__ = (UniqueConstraint("user_id", "provider"), TABLE_OPTIONS)

    subject_index: Mapped[str] = mapped_column(IndexType, primary_key=True)
    provider: Mapped[str] = mapped_column(String(10))
    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"))
    linked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SocialAttempt(Base):
    """A log-in at a provider that has begun. ``user_id``: who is to be linked; none: whoever comes back logs in."""

    __tablename__ = "social_attempt"
    __table_args__ = (TABLE_OPTIONS,)

    state_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    provider: Mapped[str] = mapped_column(String(10))
    redirect_uri: Mapped[str] = mapped_column(String(500))
    verifier: Mapped[str] = mapped_column(Sealed("users.social_attempt.verifier"))
    nonce: Mapped[str] = mapped_column(Sealed("users.social_attempt.nonce"))
    user_id: Mapped[str | None] = mapped_column(UlidType)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ThrottleRow(Base):
    """How often something was tried, by a hash of who tried what."""

    __tablename__ = "throttle"
    __table_args__ = (TABLE_OPTIONS,)

    key: Mapped[str] = mapped_column(HASH, primary_key=True)
    tries: Mapped[int] = mapped_column(Integer)
    window_start: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    blocked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    blocks: Mapped[int] = mapped_column(Integer)


class SigningKey(Base):
    """A key of the access tokens. It signs from ``signs_from`` until a newer one does."""

    __tablename__ = "signing_key"
    __table_args__ = (TABLE_OPTIONS,)

    kid: Mapped[str] = mapped_column(UlidType, primary_key=True)
    private_key: Mapped[str] = mapped_column(Sealed("users.signing_key.private_key"))
    signs_from: Mapped[datetime] = mapped_column(UtcDateTime)


class Mail(Base):
    """The outbox of e-mails. ``body`` is erased once the mail is sent: it may hold a secret link."""

    __tablename__ = "mail"
    __table_args__ = (
        Index("ix_mail_status_next_attempt_at", "status", "next_attempt_at"),
        CheckConstraint("status IN ('QUEUED', 'SENT', 'FAILED')", name="status_known"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    recipient: Mapped[str] = mapped_column(Sealed("users.mail.recipient"))
    recipient_index: Mapped[str] = mapped_column(IndexType, index=True)
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(Sealed("users.mail.body"))
    status: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TextMessage(Base):
    """The outbox of text messages. ``body`` is erased once its fate is known."""

    __tablename__ = "text_message"
    __table_args__ = (
        Index("ix_text_message_status_next_attempt_at", "status", "next_attempt_at"),
        CheckConstraint("status IN ('QUEUED', 'SENDING', 'SENT', 'FAILED')", name="status_known"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    recipient: Mapped[str] = mapped_column(Sealed("users.text_message.recipient"))
    body: Mapped[str | None] = mapped_column(Sealed("users.text_message.body"))
    status: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Partner(Base):
    """A seller."""

    __tablename__ = "partner"
    __table_args__ = (
        CheckConstraint("status IN ('ONBOARDING', 'ACTIVE', 'SUSPENDED', 'CLOSED')", name="status_known"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    logo_url: Mapped[str | None] = mapped_column(String(500))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    business_number: Mapped[str] = mapped_column(String(10), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PartnerMember(Base):
    """Who acts for a seller: a user acts for one seller at most."""

    __tablename__ = "partner_member"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"), primary_key=True)
    partner_id: Mapped[str] = mapped_column(UlidType, ForeignKey("partner.id"), index=True)


class PartnerApplication(Base):
    """An application to sell. ``live_*`` hold the applicant and the number until it is rejected: one each at a time."""

    __tablename__ = "partner_application"
    __table_args__ = (
        CheckConstraint(
            "status IN ('SUBMITTED', 'IN_REVIEW', 'CHANGES_REQUESTED', 'APPROVED', 'REJECTED')", name="status_known"
        ),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    applicant_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"), index=True)
    business_name: Mapped[str] = mapped_column(String(100))
    business_number: Mapped[str] = mapped_column(String(10))
    representative_name: Mapped[str] = mapped_column(Sealed("users.partner_application.representative_name"))
    contact_phone: Mapped[str] = mapped_column(Sealed("users.partner_application.contact_phone"))
    bank_code: Mapped[str] = mapped_column(String(3))
    bank_account_number: Mapped[str] = mapped_column(Sealed("users.partner_application.bank_account_number"))
    status: Mapped[str] = mapped_column(String(20), index=True)
    rejection_reason: Mapped[str | None] = mapped_column(String(500))
    submitted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reviewer_id: Mapped[str | None] = mapped_column(UlidType)
    partner_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("partner.id"), index=True)
    live_applicant_id: Mapped[str | None] = mapped_column(UlidType, unique=True)
    live_business_number: Mapped[str | None] = mapped_column(String(10), unique=True)


class PartnerApplicationCheck(Base):
    """What was checked of an application, and with what outcome."""

    __tablename__ = "partner_application_check"
    __table_args__ = (TABLE_OPTIONS,)

    application_id: Mapped[str] = mapped_column(UlidType, ForeignKey("partner_application.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    status: Mapped[str] = mapped_column(String(10))
    message: Mapped[str | None] = mapped_column(String(200))


class Notification(Base):
    """Something that a user is told: once for an event and type, whatever the event's deliveries."""

    __tablename__ = "notification"
    __table_args__ = (
        UniqueConstraint("event_id", "recipient_id", "type"),
        Index("ix_notification_recipient_id_id", "recipient_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64))
    recipient_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"))
    type: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    subject_type: Mapped[str | None] = mapped_column(String(30))
    subject_id: Mapped[str | None] = mapped_column(UlidType)
    in_inbox: Mapped[bool]
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NotificationDelivery(Base):
    """A notification by e-mail or text message; an e-mail's row is settled with its mail. What stands in the inbox says
    so itself (``in_inbox``)."""

    __tablename__ = "notification_delivery"
    __table_args__ = (TABLE_OPTIONS,)

    notification_id: Mapped[str] = mapped_column(
        UlidType, ForeignKey("notification.id", ondelete="CASCADE"), primary_key=True
    )
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    status: Mapped[str] = mapped_column(String(12))
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    mail_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("mail.id"), unique=True)
    text_id: Mapped[str | None] = mapped_column(UlidType, ForeignKey("text_message.id"), unique=True)


class NotificationPreference(Base):
    """The channels that a user wants for a type of notification, where they are not the default."""

    __tablename__ = "notification_preference"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[str] = mapped_column(UlidType, ForeignKey("user_account.id"), primary_key=True)
    type: Mapped[str] = mapped_column(String(40), primary_key=True)
    channels: Mapped[list[str]] = mapped_column(JsonType)


class Engagement(Base):
    """A copy: an order or pledge, whose it is and whether it has ended. ``kind``: Order or Pledge."""

    __tablename__ = "engagement"
    __table_args__ = (Index("ix_engagement_user_id_closed", "user_id", "closed"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    user_id: Mapped[str] = mapped_column(UlidType)
    label: Mapped[str] = mapped_column(String(64))
    closed: Mapped[bool]


class WaitingNotice(Base):
    """News of an order or pledge whose owner is not known here yet: its notice waits for that."""

    __tablename__ = "waiting_notice"
    __table_args__ = (TABLE_OPTIONS,)

    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(40), primary_key=True)
    engagement_id: Mapped[str] = mapped_column(UlidType, index=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JsonType)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


users = _table(User)
avatar_uploads = _table(AvatarUpload)
user_roles = _table(UserRole)
terms_agreements = _table(TermsAgreement)
sessions = _table(Session)
refresh_tokens = _table(RefreshToken)
one_time_tokens = _table(OneTimeToken)
social_accounts = _table(SocialAccount)
social_attempts = _table(SocialAttempt)
throttles = _table(ThrottleRow)
signing_keys = _table(SigningKey)
mails = _table(Mail)
text_messages = _table(TextMessage)
partners = _table(Partner)
partner_members = _table(PartnerMember)
applications = _table(PartnerApplication)
application_checks = _table(PartnerApplicationCheck)
notifications = _table(Notification)
deliveries = _table(NotificationDelivery)
preferences = _table(NotificationPreference)
engagements = _table(Engagement)
waiting_notices = _table(WaitingNotice)
