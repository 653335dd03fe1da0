"""Words that no product has, and the nearest word that some product has: 비티민 for 비타민, vitmain for vitamin.

Hangul is compared by its jamo: one wrong vowel is one edit, as one wrong letter is in English.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from rapidfuzz import process
from rapidfuzz.distance import OSA
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from subgraphs.products import models
from subgraphs.products.domain import ProductStatus
from subgraphs.products.text import words

MAX_NAMES = 20_000
"""The best-selling names that words are learnt from."""
MAX_AGE = timedelta(minutes=10)
_NEAR, _LONG = 4, 8
"""Letters or jamo from which a word may have one edit, and two."""


class Vocabulary:
    """Words with how often they occur. Nothing shorter than a word that may be corrected is kept."""

    def __init__(self, words: Iterable[str]) -> None:
        counts = Counter(words)
        self._words = [word for word in counts if len(_letters(word)) >= _NEAR]
        self._spelt = [_letters(word) for word in self._words]
        self._counts = counts

    def nearest(self, word: str) -> str | None:
        """The word with the fewest edits (a swap of neighbours is one), of these the most frequent; None: none near."""
        letters = _letters(word)
        edits = 0 if len(letters) < _NEAR else 1 if len(letters) < _LONG else 2
        if not edits:
            return None
        found = process.extract(letters, self._spelt, scorer=OSA.distance, score_cutoff=edits, limit=None)
        ranked = [(distance, -self._counts[self._words[index]], self._words[index]) for _, distance, index in found]
        return min(ranked)[2] if ranked else None


def _letters(word: str) -> str:
    return unicodedata.normalize("NFD", word)


class Spelling:
    """The vocabulary of the published catalogue, read when it is first needed and again when it is old."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._vocabulary: Vocabulary | None = None
        self._read_at: datetime | None = None

    async def vocabulary(self, connection: AsyncConnection, now: datetime) -> Vocabulary:
        """What the catalogue's words are, at most ``MAX_AGE`` old."""
        async with self._lock:
            if self._vocabulary is None or self._read_at is None or now - self._read_at > MAX_AGE:
                names = await _names(connection)
                self._vocabulary = await asyncio.to_thread(_learn, names)
                self._read_at = now
            return self._vocabulary


def _learn(names: list[str]) -> Vocabulary:
    return Vocabulary(word for name in names for word in words(name))


async def _names(connection: AsyncConnection) -> list[str]:
    product, category = models.Product.__table__, models.Category.__table__
    nutrient, partner = models.Nutrient.__table__, models.PartnerCopy.__table__
    best_selling = (
        select(product.c.name)
        .where(product.c.status == ProductStatus.PUBLISHED.value)
        .order_by(product.c.sold_count.desc(), product.c.id)
    )
    queries = [best_selling, select(category.c.name), select(nutrient.c.name), select(partner.c.name)]
    return [name for query in queries for name in (await connection.execute(query.limit(MAX_NAMES))).scalars()]
