"""``dure fairness SALE``: was first come first served, who got what, and how long did they wait."""

from __future__ import annotations

from dataclasses import asdict

import orjson
from rich.console import Console
from rich.table import Table

from dure.databases import open_database
from dure.errors import StartError
from dure.settings import Settings
from subgraphs.kit.ids import parse_id
from subgraphs.products.flash.fairness import Fairness, Order, Spread, read, report


async def run(settings: Settings, sale: str) -> Fairness:
    """The report of a sale, named by its id as clients have it or as the tables do. Raises StartError."""
    parsed = parse_id(sale)
    sale_id = parsed[1] if parsed is not None and parsed[0] == "FlashSale" else sale
    async with open_database(settings, "products") as database, database.read() as connection:
        facts = await read(connection, sale_id)
    if facts is None:
        raise StartError(f"no flash sale {sale!r}")
    return report(facts)


def as_json(found: Fairness) -> str:
    """The report for programs."""
    return orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()


def show(found: Fairness, console: Console) -> None:
    """The report for people."""
    drawn = {True: "yes", False: "[red]no[/red]", None: "nobody was"}[found.as_drawn]
    console.print(
        f"[bold]{found.name}[/bold]: {found.units} units, {found.tickets} in the line; drawn as seeded: {drawn}"
    )
    orders = Table("order", "people", "inversions", "Kendall's τ", "most places away", title="Order")
    orders.add_row("before the opening: number by arrival (a lot: near 0)", *_order(found.drawn_against_arrival))
    orders.add_row("after it: number by arrival (1: first come, first served)", *_order(found.later_against_arrival))
    orders.add_row("let in by number (1: the line was kept)", *_order(found.admitted_against_number))
    times = Table("seconds", "people", "median", "95 %", "most", title="Time")
    times.add_row("in the open sale's line until let in", *_spread(found.wait_seconds))
    times.add_row("from let in to claimed", *_spread(found.claim_seconds))
    times.add_row("from claimed to paid", *_spread(found.paid_seconds))
    people = Table("came to", "people", title="Outcome")
    for fate, count in found.came_to.items():
        people.add_row(fate, str(count))
    units = Table("units", "customers", title="Units a customer")
    for number, count in found.customers_by_units.items():
        units.add_row(str(number), str(count))
    if found.over_their_limit:
        units.caption = f"[red]{found.over_their_limit} over their limit[/red]"
    for table in (orders, times, people, units):
        console.print(table)


def _order(order: Order) -> tuple[str, ...]:
    tau = "" if order.tau is None else f"{order.tau:.3f}"
    return str(order.people), str(order.inversions), tau, str(order.displaced)


def _spread(spread: Spread) -> tuple[str, ...]:
    return str(spread.people), *(
        "" if each is None else f"{each:.1f}" for each in (spread.p50, spread.p95, spread.most)
    )
