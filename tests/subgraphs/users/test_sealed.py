"""Who people are cannot be read in the tables, and was sealed by the upgrade where an older version had written it."""

from __future__ import annotations

from sqlalchemy import select, text

from db.migrate import downgrade, upgrade
from db.session import Database
from subgraphs.users.app import MIGRATIONS
from subgraphs.users.models import email_index, mails, phone_index, sessions, users
from tests.subgraphs.users.conftest import World
from tests.support.raw import dump

SECRETS = ("buyer@example.com", "김두레", "1012345678", "203.0.113.7", "test-phone", "token=", "PRIVATE KEY")
OLD = (
    "INSERT INTO user_account (id, version, email, name, phone, display_name, locale, time_zone, created_at) VALUES "
    "('u1', 1, 'buyer@example.com', '김두레', '+821012345678', '두레', 'ko-KR', 'Asia/Seoul', '2026-11-01 00:00:00')",
    "INSERT INTO session (id, user_id, device_name, ip_address, created_at, last_used_at, expires_at) VALUES "
    "('s1', 'u1', 'test-phone', '203.0.113.7', '2026-11-01 00:00:00', '2026-11-01 00:00:00', '2027-11-01 00:00:00')",
    "INSERT INTO mail (id, kind, recipient, subject, body, status, attempts, next_attempt_at, created_at) VALUES "
    "('m1', 'VERIFY_EMAIL', 'buyer@example.com', 's', 'x?token=abc', 'QUEUED', 0, '2026-11-01 00:00:00', "
    "'2026-11-01 00:00:00')",
)


async def test_nobody_can_be_read_in_the_tables(any_world: World) -> None:
    member = await any_world.member()
    await any_world.ask('mutation { accountUpdate(phone: "010-1234-5678") { userErrors { code } } }', member)
    await any_world.ask('mutation { passwordResetRequest(email: "buyer@example.com") { userErrors { code } } }')
    await any_world.log_in("buyer@example.com")
    stolen = await dump(any_world.database)
    assert [secret for secret in SECRETS if secret in stolen] == []
    (row,) = await any_world.rows(users)
    assert (row.email, row.name, row.phone) == ("buyer@example.com", "김두레", "+821012345678"), "with the keys"
    assert (row.email_index, row.phone_index) == (email_index(row.email), phone_index(row.phone))


async def test_an_upgrade_seals_what_an_older_version_wrote(database_url: str) -> None:
    await upgrade(database_url, MIGRATIONS)
    await downgrade(database_url, MIGRATIONS, "0001")
    async with Database(database_url) as database, database.transaction() as tx:
        for statement in OLD:
            await tx.execute(text(statement))
    await upgrade(database_url, MIGRATIONS)
    async with Database(database_url) as database:
        assert [secret for secret in SECRETS if secret in await dump(database)] == []
        async with database.read() as connection:
            found = select(users).where(users.c.email_index == email_index("buyer@example.com"))
            assert (await connection.execute(found)).one().phone == "+821012345678"
            assert (await connection.execute(select(sessions.c.ip_address))).scalar_one() == "203.0.113.7"
            theirs = select(mails.c.body).where(mails.c.recipient_index == email_index("buyer@example.com"))
            assert (await connection.execute(theirs)).scalar_one() == "x?token=abc"
    await downgrade(database_url, MIGRATIONS, "0001")
    async with Database(database_url) as database:
        assert (await dump(database)).count("buyer@example.com") == 2, "and the way back opens it"
