"""Where people live cannot be read in the database, and is erased when they withdraw."""

from __future__ import annotations

from sqlalchemy import select, text

from db.migrate import downgrade, upgrade
from db.session import Database
from messaging.events.delivery import AddressChanged
from messaging.events.orders import DeliveryRequested, OrderLineFacts
from messaging.events.users import UserChanged
from subgraphs.delivery.app import MIGRATIONS
from subgraphs.delivery.models import addresses, shipments
from subgraphs.kit.ids import local_id, new_ulid
from tests.subgraphs.delivery.conftest import World
from tests.subgraphs.delivery.test_addresses import create, home
from tests.support.raw import dump

SECRETS = ("김하나", "1012345678", "06236", "테헤란로", "B동 302호", "경비실")

CODES = ("06236", "06236", "63000")
EMPTY = ("line2", "delivery_note")


async def shipped(world: World, buyer: str) -> str:
    """A parcel on its way to an address of the buyer; the address."""
    made = await create(world, buyer, line2="B동 302호", deliveryNote="경비실에 맡겨 주세요")
    address = local_id("Address", made["address"]["id"])
    line = OrderLineFacts(order_line_id=new_ulid(), variant_id=new_ulid(), quantity=1, total=1000)
    await world.tell(DeliveryRequested(order_id=new_ulid(), buyer_id=buyer, address_id=address, lines=(line,)))
    return address


async def test_no_address_can_be_read_in_the_tables(world: World) -> None:
    await shipped(world, new_ulid())
    found = await dump(world.database)
    assert [secret for secret in SECRETS if secret in found] == []
    assert "delivery_accepted" in found, "the events are there"
    (told,) = await world.told(AddressChanged)
    assert (told.recipient, told.line2) == ("김하나", "B동 302호"), "who has the keys reads them"
    async with world.database.read() as connection:
        (parcel,) = (await connection.execute(select(shipments.c.address))).scalars()
    assert (parcel["phone"], parcel["postal_code"]) == ("+821012345678", "06236")


async def test_a_withdrawn_users_addresses_are_erased_and_others_told(world: World) -> None:
    leaver, stayer = new_ulid(), new_ulid()
    address = await shipped(world, leaver)
    await create(world, stayer)
    await world.tell(UserChanged(user_id=stayer, version=2, display_name="남는 사람"))
    await world.tell(UserChanged(user_id=leaver, version=2, display_name="탈퇴한 회원", deleted=True))
    async with world.database.read() as connection:
        rows = {row.user_id: row for row in await connection.execute(select(addresses))}
    gone = rows[leaver]
    assert (gone.recipient, gone.phone, gone.postal_code, gone.line1, gone.line2) == ("", "", "", "", None)
    assert gone.parcel is None
    assert gone.deleted_at is not None
    assert rows[stayer].line1 == home()["line1"]
    last = (await world.told(AddressChanged))[-1]
    assert (last.address_id, last.deleted, last.line1, last.version) == (address, True, "", 2)


async def test_an_upgrade_seals_what_an_older_version_wrote(database_url: str) -> None:
    await upgrade(database_url, MIGRATIONS)
    await downgrade(database_url, MIGRATIONS, "0001")
    row = "(:id, 'u', 1, '김하나', '+821012345678', :code, '테헤란로 1', false)"
    columns = "(id, user_id, version, recipient, phone, postal_code, line1, is_default)"
    async with Database(database_url) as database, database.transaction() as tx:
        for number, code in enumerate(CODES):
            await tx.execute(text(f"INSERT INTO address {columns} VALUES {row}"), {"id": f"{number:026}", "code": code})
    await upgrade(database_url, MIGRATIONS)
    async with Database(database_url) as database:
        assert [secret for secret in SECRETS if secret in await dump(database)] == []
        async with database.read() as connection:
            assert set((await connection.execute(select(addresses.c.recipient))).scalars()) == {"김하나"}
            kept = list((await connection.execute(select(addresses.c.parcel).order_by(addresses.c.id))).scalars())
            far = list((await connection.execute(select(addresses.c.remote).order_by(addresses.c.id))).scalars())
    on_parcel = {"recipient": "김하나", "phone": "+821012345678", "line1": "테헤란로 1"} | dict.fromkeys(EMPTY)
    assert kept == [{**on_parcel, "postal_code": code} for code in CODES], "what its parcels will say"
    assert far == [False, False, True]
    await downgrade(database_url, MIGRATIONS, "0001")
    async with Database(database_url) as database:
        assert (await dump(database)).count("김하나") == 3, "and the way back opens it"
