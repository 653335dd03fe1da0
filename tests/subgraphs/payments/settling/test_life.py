"""From a sale to the seller's bank account, on every database."""

from __future__ import annotations

from messaging.events.payments import PayoutCompleted, SettlementClosed
from tests.subgraphs.payments.settling.conftest import Market, amounts


async def test_what_is_sold_is_settled_at_its_rates_and_paid_out(market: Market) -> None:
    """Two sellers and the shop's own goods in one order, a return of one of them, and shipping: 10 % commission, and
    10 % tax on it."""
    one, other = await market.seller(), await market.seller()
    order = await market.sale((one, 12_345), (other, 20_000), (None, 5_000), shipping=3_000)
    await market.back(order, 4_000, (0, 6_000))  # 6,000 won's worth came back, 2,000 for the parcel
    await market.booked()
    # Of what is left of one, 8,345 won: 835 commission, and 84 tax.
    assert await market.balance(one) == (8_345 - 835 - 84, 0, 0)
    assert await market.balance(other) == (20_000 - 2_000 - 200, 0, 0)
    end = market.tomorrow()
    closed = await market.close(one, end)
    assert closed["userErrors"] == []
    settlement = closed["settlement"]
    assert (settlement["status"], settlement["periodEnd"]) == ("CLOSED", end.isoformat())
    assert amounts(settlement) == {
        "gross": 12_345,
        "refunds": 4_000,
        "commission": 835,
        "commissionTax": 84,
        "net": 7_426,
        "carried": 0,
        "payable": 7_426,
    }
    assert await market.balance(one) == (0, 7_426, 0)
    asked = await market.pay(settlement["id"])
    assert (asked["userErrors"], asked["settlement"]["status"]) == ([], "PAYOUT_REQUESTED")
    await market.paid_out()
    (told,) = await market.world.told(PayoutCompleted)
    assert (told.partner_id, told.amount) == (one.id, 7_426)
    assert [each.net for each in await market.world.told(SettlementClosed)] == [7_426]
    assert await market.balance(one) == (0, 0, 7_426)
    (paid,) = market.world.simulator.store.payouts()
    assert paid["amount"] == {"currency": "KRW", "value": 7_426}
    assert paid["destination"] == {"bankCode": "88", "accountNumber": "110123456789", "holderName": "김두레"}
    assert await market.trial() == {
        "buyer_funds": (44_345, 44_345),
        "provider_receivable": (40_345, 4_000 + 7_426),
        "seller_payable": (4_000 + 1_235 + 124 + 2_200 + 7_426, 12_345 + 20_000 + 400 + 40),
        "commission_income": (400, 1_235 + 2_000),
        "commission_tax_payable": (40, 124 + 200),
        "shop_income": (0, 8_000),
    }
    trial = await market.trial()
    for _ in range(2):
        market.world.clock.advance(31)
        await market.world.service.totals.drain()
        assert await market.trial() == trial
    assert await market.world.audit() == []
