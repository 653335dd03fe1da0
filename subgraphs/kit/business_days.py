"""The days on which Korea works: its parcels and its banks."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import holidays


def add_business_days(day: date, count: int) -> date:
    """The ``count``-th day after ``day`` that is neither a weekend nor a Korean public holiday."""
    while count > 0:
        day += timedelta(days=1)
        if day.weekday() < 5 and day not in _holidays(day.year):
            count -= 1
    return day


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("KR", years=year))
