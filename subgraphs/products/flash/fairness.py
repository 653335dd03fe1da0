"""How fair a flash sale was, from what is stored: who came when, which number he drew, when he was let in, what he got.

A ticket that was entered anew counts from its last entry. Refused claims leave nothing, so what is told of those who
got nothing is how far they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.products.flash.domain import KEEPING, ClaimState, QueueTicketStatus, drawn, inversions, percentile
from subgraphs.products.flash.models import claims, items, sales, tickets


@dataclass(frozen=True, slots=True)
class Ticket:
    id: str
    user_id: str
    number: int | None
    status: str
    entered_at: datetime
    admitted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claim:
    ticket_id: str
    user_id: str
    quantity: int
    state: str
    claimed_at: datetime
    ordered_at: datetime | None
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A sale with its tickets and claims. ``limits``: units a customer may have of all its items together."""

    id: str
    name: str
    starts_at: datetime
    drawn_at: datetime | None
    draw_seed: str | None
    units: int
    limits: int
    tickets: Sequence[Ticket]
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class Order:
    """Two orders of the same people. ``tau``: Kendall's, 1 the same, 0 no relation, -1 reversed; None for fewer than
    two. ``displaced``: how many places somebody is away from his at most."""

    people: int
    inversions: int
    tau: float | None
    displaced: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds; None where nobody is counted."""

    people: int
    p50: float | None
    p95: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Fairness:
    """The report. ``as_drawn``: whether the numbers are those that the published seed gives; None: nobody was drawn."""

    sale: str
    name: str
    units: int
    tickets: int
    as_drawn: bool | None
    drawn_against_arrival: Order
    later_against_arrival: Order
    admitted_against_number: Order
    wait_seconds: Spread
    claim_seconds: Spread
    paid_seconds: Spread
    customers_by_units: Mapping[int, int]
    over_their_limit: int
    came_to: Mapping[str, int]


async def read(connection: AsyncConnection, sale_id: str) -> Facts | None:
    """The facts of a sale; None if there is no such sale."""
    sale = (await connection.execute(select(sales).where(sales.c.id == sale_id))).one_or_none()
    if sale is None:
        return None
    of_items = select(items.c.total_quantity, items.c.per_customer_limit).where(items.c.sale_id == sale_id)
    sold = (await connection.execute(of_items)).all()
    of_tickets = select(*(tickets.c[name] for name in Ticket.__slots__)).where(tickets.c.sale_id == sale_id)
    of_claims = select(*(claims.c[name] for name in Claim.__slots__)).join(items, items.c.id == claims.c.item_id)
    return Facts(
        sale.id,
        sale.name,
        sale.starts_at,
        sale.drawn_at,
        sale.draw_seed,
        sum(row.total_quantity for row in sold),
        sum(row.per_customer_limit for row in sold),
        [Ticket(*row) for row in await connection.execute(of_tickets)],
        [Claim(*row) for row in await connection.execute(of_claims.where(items.c.sale_id == sale_id))],
    )


def report(facts: Facts) -> Fairness:
    """What the facts say."""
    numbered = [ticket for ticket in facts.tickets if ticket.number is not None]
    early = [ticket for ticket in numbered if ticket.entered_at < facts.starts_at]
    later = [ticket for ticket in numbered if ticket.entered_at >= facts.starts_at]
    admitted = [ticket for ticket in numbered if ticket.admitted_at is not None]
    let_in = {ticket.id: ticket.admitted_at for ticket in admitted}
    units = _units(facts.claims)
    return Fairness(
        sale=facts.id,
        name=facts.name,
        units=facts.units,
        tickets=len(facts.tickets),
        as_drawn=_as_drawn(early, facts.draw_seed),
        drawn_against_arrival=_compared(early, lambda ticket: ticket.entered_at, _number),
        later_against_arrival=_compared(later, lambda ticket: ticket.entered_at, _number),
        admitted_against_number=_compared(admitted, _number, lambda ticket: ticket.admitted_at),
        wait_seconds=_spread([_waited(ticket, facts) for ticket in admitted]),
        claim_seconds=_spread(
            [
                (claim.claimed_at - at).total_seconds()
                for claim in facts.claims
                if (at := let_in.get(claim.ticket_id)) is not None and at <= claim.claimed_at
            ]
        ),
        paid_seconds=_spread(
            [(claim.paid_at - claim.claimed_at).total_seconds() for claim in facts.claims if claim.paid_at is not None]
        ),
        customers_by_units=dict(sorted(Counter(units.values()).items())),
        over_their_limit=sum(each > facts.limits for each in units.values()),
        came_to=_came_to(facts),
    )


def _number(ticket: Ticket) -> int:
    return ticket.number or 0


def _waited(ticket: Ticket, facts: Facts) -> float:
    """From when he stood in an open sale's line until he was let in."""
    assert ticket.admitted_at is not None
    return (ticket.admitted_at - max(ticket.entered_at, facts.starts_at)).total_seconds()


def _units(all_claims: Sequence[Claim]) -> Counter[str]:
    units: Counter[str] = Counter()
    for claim in all_claims:
        if claim.state in KEEPING:
            units[claim.user_id] += claim.quantity
    return units


def _as_drawn(early: Sequence[Ticket], seed: str | None) -> bool | None:
    """A part of a drawn line stands in the order in which it would be drawn alone."""
    if seed is None or not early:
        return None
    return [ticket.id for ticket in sorted(early, key=_number)] == drawn((ticket.id for ticket in early), seed)


def _compared(people: Sequence[Ticket], should: Any, was: Any) -> Order:
    """How far ``was`` is from ``should``; whoever is the same in one is in the other's order there."""
    places = {value: place for place, value in enumerate(sorted({should(each) for each in people}))}
    line = sorted(people, key=lambda each: (was(each), should(each)))
    order = [places[should(each)] for each in line]
    wrong, pairs = inversions(order), len(order) * (len(order) - 1) // 2
    best = sorted(order)
    first = {place: at for at, place in reversed(list(enumerate(best)))}
    last = {place: at for at, place in enumerate(best)}
    displaced = max((max(first[place] - at, at - last[place], 0) for at, place in enumerate(order)), default=0)
    return Order(len(order), wrong, 1 - 2 * wrong / pairs if pairs else None, displaced)


def _spread(seconds: Sequence[float]) -> Spread:
    return Spread(len(seconds), percentile(seconds, 50), percentile(seconds, 95), percentile(seconds, 100))


def _came_to(facts: Facts) -> dict[str, int]:
    """How far everybody came, each counted once, at his best."""
    best: dict[str, str] = {}
    for claim in facts.claims:
        rank = _FATES.index(_fate(claim))
        if claim.user_id not in best or rank < _FATES.index(best[claim.user_id]):
            best[claim.user_id] = _fate(claim)
    counted = Counter(best.values())
    for ticket in facts.tickets:
        if ticket.user_id not in best:
            counted[_WITHOUT_CLAIM[ticket.status]] += 1
    return {fate: counted[fate] for fate in _FATES if counted[fate]}


_WITHOUT_CLAIM = {
    QueueTicketStatus.ADMITTED.value: "let in, nothing claimed",
    QueueTicketStatus.EXPIRED.value: "admission ran out",
    QueueTicketStatus.WAITING.value: "still waiting",
    QueueTicketStatus.LEFT.value: "sale ended before the turn",
}
_FATES = (
    "paid",
    "ordered",
    "holds a claim",
    "order failed",
    "claim ran out",
    *_WITHOUT_CLAIM.values(),
)


def _fate(claim: Claim) -> str:
    if claim.state == ClaimState.ORDERED.value:
        return "ordered" if claim.paid_at is None else "paid"
    return {
        ClaimState.HELD.value: "holds a claim",
        ClaimState.RETURNED.value: "order failed",
        ClaimState.EXPIRED.value: "claim ran out",
    }[claim.state]
