"""Which account a buyer pays into, and his name at the bank, are readable with the keys only."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text, update

from db import vault
from db.migrate import downgrade, upgrade
from db.resealing import reseal, usage
from db.session import Database
from subgraphs.payments.app import MIGRATIONS
from subgraphs.payments.models import Base, payments
from tests.subgraphs.payments.conftest import World, request
from tests.subgraphs.payments.test_buyer_pays import deliver_webhooks, issue
from tests.support.raw import dump

HOLDER = "홍길동"
OLD = (
    "INSERT INTO payment (id, payable_type, payable_id, purpose, payer_id, provider_order_id, order_name, amount, "
    "currency, status, version, captured, refunded, captures, cancel_requested, tries, kind, summary, "
    "failure_retryable, account_bank, account_number, account_holder, created_at, updated_at) VALUES "
    "('{id}', 'Order', '{id}', 'ORDER', 'u', '{id}', 'n', 1000, 'KRW', 'DONE', 1, 1000, 0, 1, {false}, 0, "
    "'VIRTUAL_ACCOUNT', '신한은행 {number}', {false}, {account}, '2026-11-01 00:00:00', '2026-11-01 00:00:00')"
)
ENTRY = (
    "INSERT INTO refund (id, payment_id, amount, currency, reason, status, automatic, tries, created_at) VALUES "
    "('r', 'p1', 1, 'KRW', 'r', 'COMPLETED', {false}, 0, '2026-11-01 00:00:00')"
)


async def test_an_issued_account_is_sealed_and_its_end_is_shown(world: World, buyer: str) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    shown = (await issue(world, buyer, wanted.order_id, holder=HOLDER))["payment"]["virtualAccount"]
    number = shown["accountNumber"]
    assert (len(number) > 8, shown["holderName"]) == (True, HOLDER), "its payer reads it"
    await world.at_provider("deposits", orderId=wanted.order_number)
    await deliver_webhooks(world)
    await world.work()
    stolen = await dump(world.database)
    assert [secret for secret in (number, HOLDER) if secret in stolen] == []
    paid = await world.payment_of(wanted.order_id)
    assert (paid["status"], paid["summary"]) == ("DONE", f"신한은행 {number[-4:]}")
    assert (paid["account_number"], paid["account_holder"]) == (number, HOLDER)
    assert await world.audit() == []


async def test_it_takes_a_new_key_like_all_personal_data(
    world: World, buyer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(buyer, None)
    await world.tell(wanted)
    number = (await issue(world, buyer, wanted.order_id))["payment"]["virtualAccount"]["accountNumber"]
    both = f"new:{vault.new_key()},{vault.VaultSettings().data_keys.get_secret_value()}"  # type: ignore[call-arg]
    monkeypatch.setenv("DURE_DATA_KEYS", both)
    vault.ring.cache_clear()
    try:
        assert [table async for table, _ in reseal(world.database, Base.metadata)] == ["payment"]
        assert (await usage(world.database, Base.metadata)).keys() == {"new"}
        assert (await world.payment_of(wanted.order_id))["account_number"] == number
    finally:
        monkeypatch.undo()
        vault.ring.cache_clear()


async def test_an_upgrade_seals_what_an_older_version_wrote(database_url: str) -> None:
    """And a payment without an account stays one."""
    await upgrade(database_url, MIGRATIONS)
    await downgrade(database_url, MIGRATIONS, "0003")
    async with Database(database_url) as database, database.transaction() as tx:
        false = "false" if database.dialect == "postgresql" else "0"
        for id, number, account in (("p1", "11012345", "'88', '11012345', '홍길동'"), ("p2", "0", "NULL, NULL, NULL")):
            await tx.execute(text(OLD.format(id=id, number=number, account=account, false=false)))
        await tx.execute(text(ENTRY.format(false=false)))
    await upgrade(database_url, MIGRATIONS)
    columns = select(payments.c.summary, payments.c.account_number, payments.c.account_holder).order_by(payments.c.id)
    async with Database(database_url) as database:
        stolen = await dump(database)
        assert [secret for secret in ("11012345", HOLDER) if secret in stolen] == []
        assert "2345" in stolen
        async with database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(columns)]
        assert rows == [("신한은행 2345", "11012345", HOLDER), ("신한은행 0", None, None)]
        with pytest.raises(Exception, match=r"(?i)captured_within_amount|check"):
            async with database.transaction() as tx:
                await tx.execute(update(payments).values(captured=2000))
    await downgrade(database_url, MIGRATIONS, "0003")
    async with Database(database_url) as database:
        assert "'11012345'" in await dump(database), "and the way back opens it"
