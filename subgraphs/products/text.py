"""Text for search: words, the grams that they are found by, Korean initial consonants, slugs. Pure.

Latin words are found by their beginning and by trigrams, Hangul by bigrams anywhere in the word (a compound such as
종합비타민 has no spaces), names also by initial consonants (ㅂㅌㅁ). A gram is compared for equality only, so the
databases' collations have no say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_QUERY_CHARACTERS = 100
MAX_QUERY_WORDS = 8
GRAM_LENGTH = 8

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_WORD = re.compile(r"[가-힣]+|[ㄱ-ㅎ]+|[^\W_가-힣ㄱ-ㅎ]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_FIRST_SYLLABLE, _LAST_SYLLABLE, _SYLLABLES_PER_INITIAL = 0xAC00, 0xD7A3, 588


def words(text: str) -> list[str]:
    """The words of a text in one spelling: NFKC, case folded, Hangul apart from the rest (``비타민C``: 비타민, c)."""
    # NFKC makes conjoining jamo of compatibility ones; those are put back, for they are what people type.
    folded = "".join(
        each if each in _INITIALS else unicodedata.normalize("NFKC", each)
        for each in unicodedata.normalize("NFC", text)
    )
    return _WORD.findall(_THOUSANDS.sub("", folded.casefold()))


def initials(word: str) -> str:
    """The initial consonants of a Hangul word: 비타민 is ㅂㅌㅁ. Empty for any other word."""
    if not all(_FIRST_SYLLABLE <= ord(each) <= _LAST_SYLLABLE for each in word):
        return ""
    return "".join(_INITIALS[(ord(each) - _FIRST_SYLLABLE) // _SYLLABLES_PER_INITIAL] for each in word)


def document_grams(text: str, *, with_initials: bool = False) -> set[str]:
    """All grams that a text is found by."""
    found: set[str] = set()
    for word in words(text):
        if _is_korean(word):
            found |= _bigrams(word) | set(word)
            if with_initials and (consonants := initials(word)):
                found |= _bigrams(consonants) | set(consonants)
        else:
            marked = f"^{word}"
            found |= {marked[:2], marked[:3]} | _trigrams(marked)
            if len(word) == 1:
                found.add(f"{marked}$")
    return found


def query_words(query: str) -> list[str]:
    """The words of a query that count."""
    return words(query[:MAX_QUERY_CHARACTERS])[:MAX_QUERY_WORDS]


def word_grams(word: str) -> set[str]:
    """The grams that a document must have, all of them, to be found by the word."""
    if _is_korean(word):
        return _bigrams(word) or {word}
    return _trigrams(f"^{word}") if len(word) > 1 else {f"^{word}$"}


def query_grams(query: str) -> list[set[str]]:
    """For each word of a query the grams that a document must have, all of them."""
    return [word_grams(word) for word in query_words(query)]


def slug(name: str, tail: str) -> str:
    """A readable, unique part of an address: the words of the name and a tail that makes it unique."""
    return "-".join([*words(name)[:10], tail.lower()])[:120]


def _is_korean(word: str) -> bool:
    return "가" <= word[0] <= "힣" or word[0] in _INITIALS


def _bigrams(word: str) -> set[str]:
    return {word[start : start + 2] for start in range(len(word) - 1)}


def _trigrams(word: str) -> set[str]:
    return {word[start : start + 3] for start in range(len(word) - 2)} or {word}


def weighted_grams(fields: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Grams of several texts with the summed weights of the texts that they occur in; the first text is the name."""
    weights: dict[str, int] = {}
    for index, (text, weight) in enumerate(fields):
        for gram in document_grams(text, with_initials=index == 0):
            weights[gram[:GRAM_LENGTH]] = weights.get(gram[:GRAM_LENGTH], 0) + weight
    return weights
