"""Comparing types written as GraphQL source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Abstract = Mapping[str, set[str]]
"""Interface or union -> everything that can stand for it."""


def is_subtype(sub: str, sup: str, abstract: Abstract) -> bool:
    """Whether every value of ``sub`` is a value of ``sup`` (GraphQL specification, 3.4.2 covariance)."""
    if sub == sup:
        return True
    if sup.endswith("!"):
        return sub.endswith("!") and is_subtype(sub[:-1], sup[:-1], abstract)
    if sub.endswith("!"):
        return is_subtype(sub[:-1], sup, abstract)
    if sup.startswith("["):
        return sub.startswith("[") and is_subtype(sub[1:-1], sup[1:-1], abstract)
    return sub in abstract.get(sup, ())


def most_general(types: Sequence[str], abstract: Abstract) -> str | None:
    """The one of these that all others are subtypes of, if there is one."""
    distinct = dict.fromkeys(types)
    return next((sup for sup in distinct if all(is_subtype(sub, sup, abstract) for sub in distinct)), None)


def most_specific(types: Sequence[str], abstract: Abstract) -> str | None:
    """The one of these that is a subtype of all others, if there is one."""
    distinct = dict.fromkeys(types)
    return next((sub for sub in distinct if all(is_subtype(sub, sup, abstract) for sup in distinct)), None)
