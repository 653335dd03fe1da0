"""Personal data is sealed; people are found by blind indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db import vault
from db.resealing import open_sealed, seal_plain

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Length and nullability of each column, by table.
COLUMNS: dict[str, dict[str, tuple[int | None, bool]]] = {
    "user_account": {"email": (254, True), "name": (100, True), "phone": (20, True), "deletion_reason": (500, True)},
    "session": {"device_name": (100, True), "ip_address": (45, True)},
    "signing_key": {"private_key": (None, False)},
    "mail": {"recipient": (254, False), "body": (None, True)},
    "partner_application": {
        "representative_name": (100, False),
        "contact_phone": (20, False),
        "bank_account_number": (20, False),
    },
}
KEYS = {"signing_key": "kid"}


def places(table: str) -> dict[str, str]:
    return {name: f"users.{table}.{name}" for name in COLUMNS[table]}


def upgrade() -> None:
    connection = op.get_bind()
    op.drop_index("ix_mail_recipient", "mail")
    with op.batch_alter_table("user_account") as batch:
        batch.drop_constraint("uq_user_account_email", type_="unique")
        batch.add_column(sa.Column("email_index", sa.String(43), nullable=True))
        batch.add_column(sa.Column("phone_index", sa.String(43), nullable=True))
    op.add_column("mail", sa.Column("recipient_index", sa.String(43), nullable=False, server_default=""))
    write_indexes(connection)
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table) as batch:
            for name, (length, nullable) in columns.items():
                if length is not None:
                    batch.alter_column(
                        name, existing_type=sa.String(length), type_=sa.Text(), existing_nullable=nullable
                    )
        seal_plain(connection, table, places(table), KEYS.get(table, "id"))
    with op.batch_alter_table("user_account") as batch:
        batch.create_unique_constraint("uq_user_account_email_index", ["email_index"])
        for name in ("email", "phone"):
            rule = f"({name} IS NULL) = ({name}_index IS NULL)"
            batch.create_check_constraint(op.f(f"ck_user_account_{name}_is_found"), rule)
        batch.create_index("ix_user_account_phone_index", ["phone_index"])
    with op.batch_alter_table("mail") as batch:
        batch.alter_column("recipient_index", existing_type=sa.String(43), existing_nullable=False, server_default=None)
        batch.create_index("ix_mail_recipient_index", ["recipient_index"])


def write_indexes(connection: sa.Connection) -> None:
    people = sa.table("user_account", *_columns("id", "email", "phone", "email_index", "phone_index"))
    for row in connection.execute(sa.select(people)).all():
        values = {
            f"{name}_index": vault.ring().index(text, f"users.{name}")
            for name in ("email", "phone")
            if (text := getattr(row, name)) is not None
        }
        if values:
            connection.execute(people.update().where(people.c.id == row.id).values(**values))
    letters = sa.table("mail", *_columns("id", "recipient", "recipient_index"))
    for row in connection.execute(sa.select(letters)).all():
        index = vault.ring().index(row.recipient, "users.email")
        connection.execute(letters.update().where(letters.c.id == row.id).values(recipient_index=index))


def _columns(*names: str) -> list[sa.ColumnClause[str]]:
    return [sa.column(name, sa.String()) for name in names]


def downgrade() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("user_account") as batch:
        batch.drop_constraint("uq_user_account_email_index", type_="unique")
        batch.drop_index("ix_user_account_phone_index")
        for name in ("email", "phone"):
            batch.drop_constraint(op.f(f"ck_user_account_{name}_is_found"), type_="check")
    op.drop_index("ix_mail_recipient_index", "mail")
    for table, columns in COLUMNS.items():
        open_sealed(connection, table, places(table), KEYS.get(table, "id"))
        with op.batch_alter_table(table) as batch:
            for name, (length, nullable) in columns.items():
                if length is not None:
                    batch.alter_column(
                        name, existing_type=sa.Text(), type_=sa.String(length), existing_nullable=nullable
                    )
    with op.batch_alter_table("user_account") as batch:
        batch.drop_column("email_index")
        batch.drop_column("phone_index")
        batch.create_unique_constraint("uq_user_account_email", ["email"])
    with op.batch_alter_table("mail") as batch:
        batch.drop_column("recipient_index")
        batch.create_index("ix_mail_recipient", ["recipient"])
