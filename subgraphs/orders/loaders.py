"""What a request's resolvers read with: each kind of row in one statement a request level, never one a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import ColumnElement, func, select

from db.reads import by_key
from db.session import Database
from db.statements import after as comes_after
from subgraphs.kit.changes import Changes
from subgraphs.kit.execute import Caller
from subgraphs.kit.identity import Identity
from subgraphs.kit.pagination import Cursors, Page, page_size
from subgraphs.kit.rows import ManyRows, OneRow
from subgraphs.kit.subgraph import Runtime
from subgraphs.orders import models
from subgraphs.orders.service import returns
from subgraphs.orders.service.copies import Facts, facts_for
from subgraphs.orders.service.orders import AnyOrder, OrderService, order_rows
from subgraphs.orders.service.returning import Returning
from subgraphs.orders.settings import Settings

AnyRow = AnyOrder

_orders, _lines = models.orders, models.order_lines
NEWEST_FIRST = "orders:newest"


def loader(load: Callable[[list[str]], Any]) -> DataLoader[str, Any]:
    """A loader that hands the keys of one moment to ``load``."""

    async def batch(keys: list[str]) -> Any:
        return await load(keys)

    return DataLoader(batch)


@dataclass(frozen=True, slots=True)
class CartContent:
    """A cart's lines and what is known today of what they name."""

    lines: Sequence[AnyRow]
    facts: Facts


_ORDERS = by_key(order_rows(), _orders.c.id)
_ORDERS_BY_NUMBER = by_key(order_rows(), _orders.c.number)
_LINES = by_key(select(_lines), _lines.c.id)
_LINES_OF_ORDER = by_key(select(_lines).order_by(_lines.c.position), _lines.c.order_id)
_RETURNS = by_key(select(models.returns), models.returns.c.id)
_RETURNS_OF_ORDER = by_key(select(models.returns).order_by(models.returns.c.id), models.returns.c.order_id)
_CARTS = by_key(select(models.carts), models.carts.c.id)
_CARTS_OF = by_key(select(models.carts), models.carts.c.buyer_id)
_PARTNERS = by_key(select(models.partners), models.partners.c.partner_id)


class Loaders:
    """The loaders of one request, each made when it is first asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def order(self) -> OneRow:
        return OneRow(self._database, _ORDERS)

    @cached_property
    def order_by_number(self) -> OneRow:
        return OneRow(self._database, _ORDERS_BY_NUMBER)

    @cached_property
    def order_lines(self) -> ManyRows:
        return ManyRows(self._database, _LINES_OF_ORDER)

    @cached_property
    def order_line(self) -> OneRow:
        return OneRow(self._database, _LINES)

    @cached_property
    def return_(self) -> OneRow:
        return OneRow(self._database, _RETURNS)

    @cached_property
    def returns_of_order(self) -> ManyRows:
        return ManyRows(self._database, _RETURNS_OF_ORDER)

    @cached_property
    def return_lines(self) -> DataLoader[str, Any]:
        return loader(self._lines_of_returns)

    @cached_property
    def returned_units(self) -> DataLoader[str, Any]:
        """Units of order lines that returns hold already."""
        return loader(self._returned_units)

    @cached_property
    def cart(self) -> OneRow:
        return OneRow(self._database, _CARTS)

    @cached_property
    def cart_of(self) -> OneRow:
        return OneRow(self._database, _CARTS_OF)

    @cached_property
    def cart_content(self) -> DataLoader[str, Any]:
        return loader(self._contents_of_carts)

    @cached_property
    def partner(self) -> OneRow:
        return OneRow(self._database, _PARTNERS)

    async def _lines_of_returns(self, return_ids: list[str]) -> list[Sequence[AnyRow]]:
        async with self._database.read() as connection:
            found = await returns.lines_of(connection, return_ids)
        return [found[id] for id in return_ids]

    async def _returned_units(self, line_ids: list[str]) -> list[int]:
        async with self._database.read() as connection:
            found = await returns.taken(connection, line_ids)
        return [found.get(id, 0) for id in line_ids]

    async def _contents_of_carts(self, cart_ids: list[str]) -> list[CartContent]:
        table = models.cart_lines
        query = select(table).where(table.c.cart_id.in_(cart_ids)).order_by(table.c.id)
        found: dict[str, list[AnyRow]] = {id: [] for id in cart_ids}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found[row.cart_id].append(row)
            facts = await facts_for(connection, variant_ids={row.variant_id for rows in found.values() for row in rows})
        return [CartContent(found[id], facts) for id in cart_ids]


@dataclass(frozen=True, slots=True)
class OrderList:
    """Which orders a connection shows; counting and paging read the database when they are asked for."""

    conditions: tuple[ColumnElement[bool], ...]

    def where(self, *more: ColumnElement[bool]) -> OrderList:
        return OrderList((*self.conditions, *more))


@dataclass(frozen=True, slots=True)
class Context:
    """What a request's resolvers are given."""

    identity: Identity
    service: OrderService
    returning: Returning
    loaders: Loaders
    database: Database
    changes: Changes
    cursors: Cursors
    now: Callable[[], datetime]
    auto_confirm_after: timedelta

    async def page(self, orders: OrderList, first: int | None, after: str | None) -> Page[AnyRow]:
        """Newest first: a ULID sorts by the time of placing."""
        size = page_size(first)
        query = order_rows().where(*orders.conditions)
        if after is not None:
            query = query.where(comes_after([_orders.c.id], self.cursors.decode(NEWEST_FIRST, after), descending=True))
        async with self.database.read() as connection:
            rows = (await connection.execute(query.order_by(_orders.c.id.desc()).limit(size + 1))).all()
        return self.cursors.page(NEWEST_FIRST, rows, size, after, lambda row: [row.id])

    async def count(self, orders: OrderList) -> int:
        query = select(func.count()).select_from(_orders).where(*orders.conditions)
        async with self.database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def is_member(self, partner_id: str) -> bool:
        """Whether the caller works for this seller."""
        partner = await self.loaders.partner.load(partner_id)
        return partner is not None and self.identity.user_id in partner.member_ids

    def sees_all(self, row: AnyRow) -> bool:
        """The buyer and the staff see the whole of an order, and its returns."""
        return self.identity.user_id == row.buyer_id or "orders:read" in self.identity.scopes

    async def visible_lines(self, order: AnyRow) -> Sequence[AnyRow]:
        """Lines of the order that the caller may see: all, or those of sellers that he works for."""
        lines: Sequence[AnyRow] = await self.loaders.order_lines.load(order.id)
        if self.sees_all(order):
            return lines
        return [line for line in lines if line.partner_id and await self.is_member(line.partner_id)]

    async def sees_return(self, row: AnyRow) -> bool:
        """The buyer, the staff and those who work for the seller see a return."""
        return self.sees_all(row) or bool(row.partner_id and await self.is_member(row.partner_id))

    async def visible_returns(self, order: AnyRow) -> Sequence[AnyRow]:
        """Returns of the order that the caller may see."""
        return [row for row in await self.loaders.returns_of_order.load(order.id) if await self.sees_return(row)]

    async def sees(self, order: AnyRow | None) -> bool:
        """Whether the order exists for the caller."""
        if order is None:
            return False
        return self.sees_all(order) or bool(await self.visible_lines(order))


def context_maker(
    runtime: Runtime, settings: Settings, service: OrderService, returning: Returning
) -> Callable[[Caller], Context]:
    cursors = Cursors(runtime.common.cursor_secret.get_secret_value())

    def make(caller: Caller) -> Context:
        return Context(
            identity=caller.identity,
            service=service,
            returning=returning,
            loaders=Loaders(runtime.database),
            database=runtime.database,
            changes=runtime.changes,
            cursors=cursors,
            now=runtime.now,
            auto_confirm_after=timedelta(days=settings.auto_confirm_days),
        )

    return make
