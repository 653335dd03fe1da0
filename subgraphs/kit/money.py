"""Money: integer minor units inside, decimal strings outside."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

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
    digits = EXPONENTS[currency]
    if not amount.is_finite():
        raise InvalidAmount("Not a number.")
    if amount and amount.adjusted() + digits > 15:  # first: 1E+999999 would take long to write out
        raise InvalidAmount("Too large.")
    # Exact, where arithmetic of decimals would round to its context's 28 digits. (Too small for a digit: one that is.)
    scaled = Fraction(amount) * 10**digits if amount.adjusted() >= -digits else Fraction(bool(amount), 2)
    if scaled.denominator != 1:
        raise InvalidAmount(f"{currency} has {digits} digits after the point.")
    if abs(scaled) > MAX_MINOR:
        raise InvalidAmount("Too large.")
    return int(scaled)


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
