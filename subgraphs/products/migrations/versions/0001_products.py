"""The tables of products."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from db.columns import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "category",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("parent_id", sa.String(length=26), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["category.id"], name=op.f("fk_category_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_category")),
        sa.UniqueConstraint("slug", name=op.f("uq_category_slug")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("category", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_category_parent_id"), ["parent_id"], unique=False)

    op.create_table(
        "dead_letters",
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column(
            "payload",
            sa.Text().with_variant(mysql.MEDIUMTEXT(), "mariadb").with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("died_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_dead_letters")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.create_index("ix_dead_letters_died_at", ["died_at"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("scope", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("claim", sa.String(length=26), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_idempotency_key")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_key_created_at"), ["created_at"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.String(length=26), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inbox_received_at"), ["received_at"], unique=False)

    op.create_table(
        "nutrient",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("reference_amount", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nutrient")),
        sa.UniqueConstraint("name", name=op.f("uq_nutrient_name")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column(
            "data",
            sa.Text().with_variant(mysql.MEDIUMTEXT(), "mariadb").with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("published_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_unpublished",
            ["published_at", "position"],
            unique=False,
            postgresql_where=sa.text("published_at IS NULL"),
            sqlite_where=sa.text("published_at IS NULL"),
        )

    op.create_table(
        "partner_copy",
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", name=op.f("pk_partner_copy")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "partner_member",
        sa.Column("partner_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "user_id", name=op.f("pk_partner_member")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("partner_member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_partner_member_user_id"), ["user_id"], unique=False)

    op.create_table(
        "product",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=160), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("min_price", sa.BigInteger(), nullable=False),
        sa.Column("max_price", sa.BigInteger(), nullable=False),
        sa.Column("rating_total", sa.Integer(), nullable=False),
        sa.Column("rating_count", sa.Integer(), nullable=False),
        sa.Column("rating_average", sa.Integer(), nullable=False),
        sa.Column("sold_count", sa.BigInteger(), nullable=False),
        sa.Column("duplicate_key", sa.String(length=40), nullable=True),
        sa.Column("review_reason", sa.String(length=500), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("rating_count >= 0 AND rating_total >= 0", name=op.f("ck_product_rating")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("duplicate_key", name=op.f("uq_product_duplicate_key")),
        sa.UniqueConstraint("slug", name=op.f("uq_product_slug")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.create_index("ix_product_newest", ["status", "published_at", "id"], unique=False)
        batch_op.create_index("ix_product_price", ["status", "min_price", "id"], unique=False)
        batch_op.create_index("ix_product_rating", ["status", "rating_average", "id"], unique=False)
        batch_op.create_index("ix_product_seller", ["partner_id", "status", "id"], unique=False)
        batch_op.create_index("ix_product_sold", ["status", "sold_count", "id"], unique=False)

    op.create_table(
        "purchase",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "product_id", name=op.f("pk_purchase")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("purchase", schema=None) as batch_op:
        batch_op.create_index("ix_purchase_buyer", ["user_id", "product_id"], unique=False)

    op.create_table(
        "received_order",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_received_order")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "reservation",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("claim", sa.String(length=26), nullable=False),
        sa.Column("shortages", sa.Text(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_reservation")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.create_index("ix_reservation_state", ["state", "expires_at"], unique=False)

    op.create_table(
        "selling_plan",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("partner_id", sa.String(length=26), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("interval", sa.String(length=10), nullable=False),
        sa.Column("interval_count", sa.Integer(), nullable=False),
        sa.Column("discount_bps", sa.Integer(), nullable=True),
        sa.Column("deliveries_per_billing", sa.Integer(), nullable=False),
        sa.Column("min_cycles", sa.Integer(), nullable=True),
        sa.Column("max_cycles", sa.Integer(), nullable=True),
        sa.CheckConstraint("discount_bps BETWEEN 0 AND 10000", name=op.f("ck_selling_plan_discount_bps")),
        sa.CheckConstraint("interval_count > 0", name=op.f("ck_selling_plan_interval_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selling_plan")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("selling_plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_selling_plan_partner_id"), ["partner_id"], unique=False)

    op.create_table(
        "shipping_profile_copy",
        sa.Column("shipping_profile_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("shipping_profile_id", name=op.f("pk_shipping_profile_copy")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "user_copy",
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("avatar_url", sa.String(length=1000), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_copy")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "product_attribute",
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("value", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_attribute_product_id")),
        sa.PrimaryKeyConstraint("product_id", "name", "value", name=op.f("pk_product_attribute")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_attribute", schema=None) as batch_op:
        batch_op.create_index("ix_product_attribute_name_value", ["name", "value"], unique=False)

    op.create_table(
        "product_category",
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("category_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["category_id"], ["category.id"], name=op.f("fk_product_category_category_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_category_product_id")),
        sa.PrimaryKeyConstraint("product_id", "category_id", name=op.f("pk_product_category")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_category", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_category_category_id"), ["category_id"], unique=False)

    op.create_table(
        "product_gram",
        sa.Column("gram", sa.String(length=8), nullable=False),
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_gram_product_id")),
        sa.PrimaryKeyConstraint("gram", "product_id", name=op.f("pk_product_gram")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_gram", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_gram_product_id"), ["product_id"], unique=False)

    op.create_table(
        "product_media",
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("alt", sa.String(length=200), nullable=True),
        sa.Column("type", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_media_product_id")),
        sa.PrimaryKeyConstraint("product_id", "position", name=op.f("pk_product_media")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "product_nutrient",
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("nutrient_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_product_nutrient_amount")),
        sa.ForeignKeyConstraint(["nutrient_id"], ["nutrient.id"], name=op.f("fk_product_nutrient_nutrient_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_nutrient_product_id")),
        sa.PrimaryKeyConstraint("product_id", "nutrient_id", name=op.f("pk_product_nutrient")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_nutrient", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_nutrient_nutrient_id"), ["nutrient_id"], unique=False)

    op.create_table(
        "product_selling_plan",
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("selling_plan_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_selling_plan_product_id")),
        sa.ForeignKeyConstraint(
            ["selling_plan_id"], ["selling_plan.id"], name=op.f("fk_product_selling_plan_selling_plan_id")
        ),
        sa.PrimaryKeyConstraint("product_id", "selling_plan_id", name=op.f("pk_product_selling_plan")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_selling_plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_selling_plan_selling_plan_id"), ["selling_plan_id"], unique=False)

    op.create_table(
        "product_variant",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("compare_at_price", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("weight_grams", sa.Integer(), nullable=False),
        sa.Column("shipping_profile_id", sa.String(length=26), nullable=False),
        sa.Column("purchase_limit", sa.Integer(), nullable=True),
        sa.Column("preorder_ships_at", UtcDateTime(), nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("ck_product_variant_price")),
        sa.CheckConstraint("weight_grams >= 0", name=op.f("ck_product_variant_weight")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_product_variant_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_variant")),
        sa.UniqueConstraint("sku", name=op.f("uq_product_variant_sku")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("product_variant", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_product_variant_product_id"), ["product_id"], unique=False)

    op.create_table(
        "review",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("author_id", sa.String(length=26), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("helpfulness", sa.Integer(), nullable=False),
        sa.Column("verified_purchase", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name=op.f("ck_review_rating")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_review_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
        sa.UniqueConstraint("product_id", "author_id", name=op.f("uq_review_product_id_author_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_author_id"), ["author_id"], unique=False)
        batch_op.create_index("ix_review_helpful", ["product_id", "helpfulness", "id"], unique=False)
        batch_op.create_index("ix_review_rating", ["product_id", "rating", "id"], unique=False)

    op.create_table(
        "wishlist_item",
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("product_id", sa.String(length=26), nullable=False),
        sa.Column("position", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_wishlist_item_product_id")),
        sa.PrimaryKeyConstraint("user_id", "product_id", name=op.f("pk_wishlist_item")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("wishlist_item", schema=None) as batch_op:
        batch_op.create_index("ix_wishlist_item_order", ["user_id", "position"], unique=False)
        batch_op.create_index(batch_op.f("ix_wishlist_item_product_id"), ["product_id"], unique=False)

    op.create_table(
        "reservation_line",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("variant_id", sa.String(length=26), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_reservation_line_quantity")),
        sa.ForeignKeyConstraint(["order_id"], ["reservation.order_id"], name=op.f("fk_reservation_line_order_id")),
        sa.ForeignKeyConstraint(["variant_id"], ["product_variant.id"], name=op.f("fk_reservation_line_variant_id")),
        sa.PrimaryKeyConstraint("order_id", "variant_id", name=op.f("pk_reservation_line")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("reservation_line", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservation_line_variant_id"), ["variant_id"], unique=False)

    op.create_table(
        "stock_level",
        sa.Column("variant_id", sa.String(length=26), nullable=False),
        sa.Column("on_hand", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("allocated", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("allocated >= 0", name=op.f("ck_stock_level_allocated")),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_stock_level_on_hand")),
        sa.CheckConstraint("on_hand >= reserved + allocated", name=op.f("ck_stock_level_not_oversold")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_stock_level_reserved")),
        sa.ForeignKeyConstraint(["variant_id"], ["product_variant.id"], name=op.f("fk_stock_level_variant_id")),
        sa.PrimaryKeyConstraint("variant_id", name=op.f("pk_stock_level")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    op.create_table(
        "stock_movement",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("variant_id", sa.String(length=26), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("on_hand_delta", sa.Integer(), nullable=False),
        sa.Column("reserved_delta", sa.Integer(), nullable=False),
        sa.Column("allocated_delta", sa.Integer(), nullable=False),
        sa.Column("balance_after", sa.Integer(), nullable=False),
        sa.Column("cause_id", sa.String(length=26), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["variant_id"], ["product_variant.id"], name=op.f("fk_stock_movement_variant_id")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_stock_movement")),
        sa.UniqueConstraint("id", name=op.f("uq_stock_movement_id")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mysql_engine="InnoDB",
    )
    with op.batch_alter_table("stock_movement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stock_movement_cause_id"), ["cause_id"], unique=False)
        batch_op.create_index("ix_stock_movement_variant", ["variant_id", "position"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("stock_movement", schema=None) as batch_op:
        batch_op.drop_index("ix_stock_movement_variant")
        batch_op.drop_index(batch_op.f("ix_stock_movement_cause_id"))

    op.drop_table("stock_movement")
    op.drop_table("stock_level")
    with op.batch_alter_table("reservation_line", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reservation_line_variant_id"))

    op.drop_table("reservation_line")
    with op.batch_alter_table("wishlist_item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_wishlist_item_product_id"))
        batch_op.drop_index("ix_wishlist_item_order")

    op.drop_table("wishlist_item")
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.drop_index("ix_review_rating")
        batch_op.drop_index("ix_review_helpful")
        batch_op.drop_index(batch_op.f("ix_review_author_id"))

    op.drop_table("review")
    with op.batch_alter_table("product_variant", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_variant_product_id"))

    op.drop_table("product_variant")
    with op.batch_alter_table("product_selling_plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_selling_plan_selling_plan_id"))

    op.drop_table("product_selling_plan")
    with op.batch_alter_table("product_nutrient", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_nutrient_nutrient_id"))

    op.drop_table("product_nutrient")
    op.drop_table("product_media")
    with op.batch_alter_table("product_gram", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_gram_product_id"))

    op.drop_table("product_gram")
    with op.batch_alter_table("product_category", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_product_category_category_id"))

    op.drop_table("product_category")
    with op.batch_alter_table("product_attribute", schema=None) as batch_op:
        batch_op.drop_index("ix_product_attribute_name_value")

    op.drop_table("product_attribute")
    op.drop_table("user_copy")
    op.drop_table("shipping_profile_copy")
    with op.batch_alter_table("selling_plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_selling_plan_partner_id"))

    op.drop_table("selling_plan")
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.drop_index("ix_reservation_state")

    op.drop_table("reservation")
    op.drop_table("received_order")
    with op.batch_alter_table("purchase", schema=None) as batch_op:
        batch_op.drop_index("ix_purchase_buyer")

    op.drop_table("purchase")
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.drop_index("ix_product_sold")
        batch_op.drop_index("ix_product_seller")
        batch_op.drop_index("ix_product_rating")
        batch_op.drop_index("ix_product_price")
        batch_op.drop_index("ix_product_newest")

    op.drop_table("product")
    with op.batch_alter_table("partner_member", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_partner_member_user_id"))

    op.drop_table("partner_member")
    op.drop_table("partner_copy")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outbox_unpublished",
            postgresql_where=sa.text("published_at IS NULL"),
            sqlite_where=sa.text("published_at IS NULL"),
        )

    op.drop_table("outbox")
    op.drop_table("nutrient")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_inbox_received_at"))

    op.drop_table("inbox")
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_key_created_at"))

    op.drop_table("idempotency_key")
    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.drop_index("ix_dead_letters_died_at")

    op.drop_table("dead_letters")
    with op.batch_alter_table("category", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_category_parent_id"))

    op.drop_table("category")
