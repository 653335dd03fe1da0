"""Tables of funding. Keys are ULIDs; amounts minor units of the project's currency."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, ForeignKey, Index, Integer, String, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.base import TABLE_OPTIONS, new_metadata, table_of
from db.columns import JsonType, MoneyType, UlidType, UtcDateTime
from messaging.inbox import dead_letter_table, inbox_table
from messaging.outbox import outbox_table
from subgraphs.kit.idempotency import idempotency_table

LongText = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
"""MySQL's TEXT ends at 65,535 bytes: 21,845 Korean characters."""


class Base(DeclarativeBase):
    metadata = new_metadata()
    __table_args__: Any = TABLE_OPTIONS


class ProjectCategory(Base):
    __tablename__ = "project_category"

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    slug: Mapped[str] = mapped_column(String(50), unique=True)
    name: Mapped[str] = mapped_column(String(50))


class Project(Base):
    """``pledged_amount``, ``backer_count`` and ``favorite_count`` are sums kept beside their rows; audit compares."""

    __tablename__ = "project"
    __table_args__ = (
        CheckConstraint("goal_amount > 0", name="goal"),
        CheckConstraint("pledged_amount >= 0 AND backer_count >= 0 AND favorite_count >= 0", name="sums"),
        Index("ix_project_status_popularity", "status", "popularity", "id"),
        Index("ix_project_status_published_at", "status", "published_at", "id"),
        Index("ix_project_status_closes_at", "status", "closes_at", "id"),
        Index("ix_project_status_pledged_amount", "status", "pledged_amount", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    slug: Mapped[str] = mapped_column(String(100), unique=True)
    creator_id: Mapped[str] = mapped_column(UlidType, index=True)
    category_id: Mapped[str] = mapped_column(ForeignKey("project_category.id"), index=True)
    title: Mapped[str] = mapped_column(String(100))
    summary: Mapped[str | None] = mapped_column(String(300))
    story: Mapped[str] = mapped_column(LongText)
    search_text: Mapped[str] = mapped_column(LongText)
    media: Mapped[list[dict[str, Any]]] = mapped_column(JsonType)
    currency: Mapped[str] = mapped_column(String(3))
    goal_amount: Mapped[int] = mapped_column(MoneyType)
    pledged_amount: Mapped[int] = mapped_column(MoneyType, default=0)
    backer_count: Mapped[int] = mapped_column(Integer, default=0)
    favorite_count: Mapped[int] = mapped_column(Integer, default=0)
    popularity: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows with each pledge by more the later it comes: recent pledges outweigh old ones."""
    funding_model: Mapped[str] = mapped_column(String(20))
    production_status: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    review_reason: Mapped[str | None] = mapped_column(String(500))
    cancel_reason: Mapped[str | None] = mapped_column(String(500))
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Reward(Base):
    """``claimed`` counts the units of live pledges; a limited reward never has more of them than ``total``."""

    __tablename__ = "reward"
    __table_args__ = (
        CheckConstraint("claimed >= 0 AND (total_quantity IS NULL OR claimed <= total_quantity)", name="claimed"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"), index=True)
    title: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(String(2000))
    minimum_amount: Mapped[int] = mapped_column(MoneyType)
    total_quantity: Mapped[int | None] = mapped_column(Integer)
    claimed: Mapped[int] = mapped_column(Integer, default=0)
    estimated_delivery_on: Mapped[date] = mapped_column(Date)
    shipping_required: Mapped[bool] = mapped_column(Boolean)


class Pledge(Base):
    """A promise of ``total``: nothing is charged before the deadline."""

    __tablename__ = "pledge"
    __table_args__ = (
        CheckConstraint("quantity > 0 AND total > 0", name="amounts"),
        Index("ix_pledge_project_id_status", "project_id", "status", "id"),
        Index("ix_pledge_backer_id", "backer_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    reward_id: Mapped[str | None] = mapped_column(ForeignKey("reward.id"), index=True)
    backer_id: Mapped[str] = mapped_column(UlidType)
    quantity: Mapped[int] = mapped_column(Integer)
    additional_amount: Mapped[int] = mapped_column(MoneyType)
    total: Mapped[int] = mapped_column(MoneyType)
    currency: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(20))
    payment_method_id: Mapped[str | None] = mapped_column(UlidType)
    shipping_address_id: Mapped[str | None] = mapped_column(UlidType)
    cancel_reason: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    canceled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ProjectPost(Base):
    """What a creator tells about the project's progress."""

    __tablename__ = "project_post"
    __table_args__ = (Index("ix_project_post_project_id", "project_id", "id"), TABLE_OPTIONS)

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(LongText)
    audience: Mapped[str] = mapped_column(String(10))
    published_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Comment(Base):
    """On a project or one of its posts (``subject_id``); hidden ones keep their place and lose their words."""

    __tablename__ = "comment"
    __table_args__ = (
        Index("ix_comment_subject_id", "subject_id", "parent_id", "id"),
        Index("ix_comment_parent_id", "parent_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    subject_id: Mapped[str] = mapped_column(UlidType)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("comment.id"))
    author_id: Mapped[str] = mapped_column(UlidType)
    body: Mapped[str] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    hidden_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Favorite(Base):
    __tablename__ = "favorite"
    __table_args__ = (Index("ix_favorite_user_id_position", "user_id", "position"), TABLE_OPTIONS)

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"), primary_key=True)
    position: Mapped[str] = mapped_column(UlidType)


class UserCopy(Base):
    """From users: what to show of an author, and whether a backer may back."""

    __tablename__ = "user_copy"

    user_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    display_name: Mapped[str] = mapped_column(String(100))
    avatar_url: Mapped[str | None] = mapped_column(String(1000))
    email_verified: Mapped[bool] = mapped_column(Boolean)


class PaymentMethodCopy(Base):
    """From payments: whose it is and whether it can be charged."""

    __tablename__ = "payment_method_copy"

    payment_method_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[str] = mapped_column(UlidType)
    status: Mapped[str] = mapped_column(String(20))


class AddressCopy(Base):
    """From delivery: whose it is, and nothing of where it is."""

    __tablename__ = "address_copy"

    address_id: Mapped[str] = mapped_column(UlidType, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[str] = mapped_column(UlidType)
    deleted: Mapped[bool] = mapped_column(Boolean)


outbox = outbox_table(Base.metadata)
inbox = inbox_table(Base.metadata)
dead_letters = dead_letter_table(Base.metadata)
idempotency = idempotency_table(Base.metadata)

categories = table_of(ProjectCategory)
projects = table_of(Project)
rewards = table_of(Reward)
pledges = table_of(Pledge)
posts = table_of(ProjectPost)
comments = table_of(Comment)
favorites = table_of(Favorite)
user_copies = table_of(UserCopy)
payment_method_copies = table_of(PaymentMethodCopy)
address_copies = table_of(AddressCopy)
