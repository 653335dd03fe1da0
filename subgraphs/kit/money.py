"""Money: integer minor units inside, decimal strings outside."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

EXPONENTS = {"KRW": 0, "JPY": 0, "USD": 2, "EUR": 2}
"""Digits after the point, by ISO 4217 currency."""

MAX_MINOR = 10**15
"""More than any amount here can be: a guard against absurd input, far inside 64 bits even after sums."""


class InvalidAmount(ValueError):
    """Not an amount of this currency."""


def to_decimal(minor: int, currency: str) -> Decimal:
    """1050 USD cents are ``Decimal("10.50")``; 1050 won are ``Decimal("1050")``."""
    return Decimal(minor).scaleb(-EXPONENTS[currency])


def to_minor(amount: Decimal, currency: str) -> int:
    """Minor units of a decimal amount.

    Raises InvalidAmount for NaN and infinity, for more digits than the currency has, and beyond MAX_MINOR.
    """
    try:
        scaled = amount.scaleb(EXPONENTS[currency])
        minor = int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidAmount("Not a number.") from None
    if scaled != minor:
        raise InvalidAmount(f"{currency} has {EXPONENTS[currency]} digits after the point.")
    if abs(minor) > MAX_MINOR:
        raise InvalidAmount("Too large.")
    return minor


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` in proportion to ``weights`` so that the parts sum to it exactly (largest remainder method).

    Equal remainders go to the earlier part. All weights 0: in equal parts. Raises ValueError for a negative weight or
    for no weights at all.
    """
    if not weights or min(weights) < 0:
        raise ValueError("weights must be there and not negative")
    whole = sum(weights)
    shares = list(weights) if whole else [1] * len(weights)
    whole = whole or len(weights)
    sign, size = (-1, -total) if total < 0 else (1, total)
    parts = [size * share // whole for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: (-(size * shares[index] % whole), index))
    for index in by_remainder[: size - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]
