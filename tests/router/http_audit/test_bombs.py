"""Small documents that stand for much work. Each is refused before the work is done."""

from __future__ import annotations

import time

import pytest

from router.settings import Settings
from tests.router.pipeline.client import post
from tests.router.pipeline.subgraphs import router, subgraphs

LEVELS = 60


def doubling(inside: str) -> str:
    """A fragment that contains the next one twice, 60 levels deep; NEXT stands for its spread."""
    fragments = (f"fragment F{n} on User{{{inside.replace('NEXT', f'...F{n + 1}')}}}" for n in range(LEVELS))
    return f"{{me{{...F0}}}} {' '.join(fragments)} fragment F{LEVELS} on User{{id}}"


BOMBS = {
    "fragments that double": doubling("NEXT NEXT"),
    "fragments that double under other names": doubling("a:reviews{author{NEXT}} b:reviews{author{NEXT}}"),
    "fragments that double below one field": doubling("reviews{author{NEXT}} reviews{author{NEXT}}"),
    "one field again and again": "{me{" + "id " * 1_900 + "}}",
    "one path again and again": "{" + "me{reviews{body}} " * 280 + "}",
    "one path in inline fragments": "{me{" + "...on User{reviews{body}} " * 200 + "}}",
    "one path under one root": "{me{" + "reviews{author{id}} " * 240 + "}}",
    "one fragment again and again": "{me{" + "...F " * 600 + "}} fragment F on User{id}",
    "fragments in a dense net": "{me{...F0}} "
    + " ".join(f"fragment F{n} on User{{{' '.join(f'...F{m}' for m in range(n + 1, 40))} id}}" for n in range(40)),
    "fragments in a ring": "{me{...F0}} "
    + " ".join(f"fragment F{n} on User{{id ...F{(n + 1) % 90} ...F{(n + 2) % 90}}}" for n in range(90)),
    "a long chain of fragments": "{me{...F0}} "
    + " ".join(f"fragment F{n} on User{{reviews{{author{{...F{n + 1}}}}}}}" for n in range(120))
    + " fragment F120 on User{id}",
    "lists in lists": "{product(upc:" + "[" * 900 + "]" * 900 + "){name}}",
    "fields in fields": "{a" * 900 + "}" * 900,
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_is_refused_at_once(bomb: str) -> None:
    """A client's error in milliseconds (measured: 5 to 90; the best of three leaves room for a busy machine)."""
    assert min([await refused(BOMBS[bomb]) for _ in range(3)]) < 0.5


async def refused(bomb: str) -> float:
    """Processor seconds that its refusal took, by a router that has not seen it before."""
    app = router(subgraphs(), Settings())
    await post(app, "{me{id}}")
    started = time.process_time()
    answer = await post(app, bomb, accept="application/graphql-response+json")
    spent = time.process_time() - started
    assert answer.status == 400
    assert answer.json["errors"][0]["extensions"]["code"] in (
        "LIMIT_EXCEEDED",
        "GRAPHQL_VALIDATION_FAILED",
        "GRAPHQL_PARSE_FAILED",
    )
    assert (await post(app, "{me{name}}")).json == {"data": {"me": {"name": "Ada"}}}
    return spent


async def test_what_only_looks_like_a_bomb_is_answered() -> None:
    """Twenty selections of one field, through fragments as well, are within the default."""
    app = router(subgraphs(), Settings())
    query = "{me{" + "id " * 10 + "...on User{" + "id " * 5 + "} ...F}} fragment F on User{" + "id " * 5 + "}"
    assert (await post(app, query)).json == {"data": {"me": {"id": "1"}}}
