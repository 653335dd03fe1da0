"""GraphQL types that all subgraphs share (``@shareable``): they must stay the same everywhere."""

from __future__ import annotations

import enum
from decimal import Decimal

import strawberry

from subgraphs.kit import money
from subgraphs.kit.caching import INHERITED


@strawberry.enum
class CurrencyCode(enum.Enum):
    KRW = "KRW"
    USD = "USD"
    JPY = "JPY"
    EUR = "EUR"


@strawberry.federation.type(shareable=True, directives=[INHERITED])
class Money:
    amount: Decimal
    currency_code: CurrencyCode


def money_of(minor: int, currency: str) -> Money:
    """The GraphQL value of an amount in minor units."""
    return Money(amount=money.to_decimal(minor, currency), currency_code=CurrencyCode(currency))


@strawberry.federation.type(shareable=True, directives=[INHERITED])
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.interface
class Node:
    id: strawberry.ID
