"""What a request's resolvers read with: each kind of row in one statement a request level, never one a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from aiodataloader import DataLoader
from sqlalchemy import ColumnElement, func, select

from db.session import Database
from db.statements import after as comes_after
from subgraphs.kit.changes import Changes
from subgraphs.kit.execute import Caller
from subgraphs.kit.identity import Identity
from subgraphs.kit.pagination import Cursors, Page, page_size
from subgraphs.kit.subgraph import Runtime
from subgraphs.orders import models
from subgraphs.orders.service import returns
from subgraphs.orders.service.copies import Facts, by_id, facts_for
from subgraphs.orders.service.orders import AnyOrder, OrderService, order_rows
from subgraphs.orders.service.returning import Returning
from subgraphs.orders.service.telling import lines_of
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


class Loaders:
    """The loaders of one request, each made when it is first asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def order(self) -> DataLoader[str, Any]:
        return loader(lambda ids: self._orders_by(_orders.c.id, ids))

    @cached_property
    def order_by_number(self) -> DataLoader[str, Any]:
        return loader(lambda numbers: self._orders_by(_orders.c.number, numbers))

    @cached_property
    def order_lines(self) -> DataLoader[str, Any]:
        return loader(self._lines_of_orders)

    @cached_property
    def order_line(self) -> DataLoader[str, Any]:
        return loader(lambda ids: self._by_id(models.order_lines, ids))

    @cached_property
    def return_(self) -> DataLoader[str, Any]:
        return loader(lambda ids: self._by_id(models.returns, ids))

    @cached_property
    def returns_of_order(self) -> DataLoader[str, Any]:
        return loader(self._returns_of_orders)

    @cached_property
    def return_lines(self) -> DataLoader[str, Any]:
        return loader(self._lines_of_returns)

    @cached_property
    def returned_units(self) -> DataLoader[str, Any]:
        """Units of order lines that returns hold already."""
        return loader(self._returned_units)

    @cached_property
    def cart(self) -> DataLoader[str, Any]:
        return loader(lambda ids: self._by_id(models.carts, ids))

    @cached_property
    def cart_of(self) -> DataLoader[str, Any]:
        return loader(self._carts_of)

    @cached_property
    def cart_content(self) -> DataLoader[str, Any]:
        return loader(self._contents_of_carts)

    @cached_property
    def partner(self) -> DataLoader[str, Any]:
        return loader(lambda ids: self._by_id(models.partners, ids))

    async def _by_id(self, table: Any, ids: list[str]) -> list[AnyRow | None]:
        async with self._database.read() as connection:
            found = await by_id(connection, table, ids)
        return [found.get(id) for id in ids]

    async def _orders_by(self, column: Any, keys: list[str]) -> list[AnyRow | None]:
        async with self._database.read() as connection:
            rows = (await connection.execute(order_rows().where(column.in_(keys)))).all()
        found = {getattr(row, column.name): row for row in rows}
        return [found.get(key) for key in keys]

    async def _lines_of_orders(self, order_ids: list[str]) -> list[Sequence[AnyRow]]:
        async with self._database.read() as connection:
            found = await lines_of(connection, order_ids)
        return [found[id] for id in order_ids]

    async def _returns_of_orders(self, order_ids: list[str]) -> list[Sequence[AnyRow]]:
        table = models.returns
        query = select(table).where(table.c.order_id.in_(order_ids)).order_by(table.c.id)
        found: dict[str, list[AnyRow]] = {id: [] for id in order_ids}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found[row.order_id].append(row)
        return [found[id] for id in order_ids]

    async def _lines_of_returns(self, return_ids: list[str]) -> list[Sequence[AnyRow]]:
        async with self._database.read() as connection:
            found = await returns.lines_of(connection, return_ids)
        return [found[id] for id in return_ids]

    async def _returned_units(self, line_ids: list[str]) -> list[int]:
        async with self._database.read() as connection:
            found = await returns.taken(connection, line_ids)
        return [found.get(id, 0) for id in line_ids]

    async def _carts_of(self, user_ids: list[str]) -> list[AnyRow | None]:
        table = models.carts
        async with self._database.read() as connection:
            rows = (await connection.execute(select(table).where(table.c.buyer_id.in_(user_ids)))).all()
        found = {row.buyer_id: row for row in rows}
        return [found.get(id) for id in user_ids]

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
