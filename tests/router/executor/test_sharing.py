"""One answer for several places: shared where they stay alike, copied where later fetches part them."""

from __future__ import annotations

from typing import Any

from router.executor.sharing import isolated_entities
from router.executor.transport import SubgraphRequest
from router.query_plan.nodes import (
    EntityFetch,
    Fetch,
    Key,
    Parallel,
    Path,
    QueryPlan,
    RepresentationField,
    RepresentationSelection,
    Sequence,
)
from tests.router.executor.support import Subgraph, field, run, shape


def entities(fetch_id: int, type_name: str, document: str, *paths: Path) -> Fetch:
    """An entity fetch by ``id``."""
    own = RepresentationSelection(frozenset((type_name,)), type_name, (RepresentationField("id", "id", required=True),))
    fetch = EntityFetch("_entities", "representations", paths, (own,))
    return Fetch(fetch_id, "users", "query", document, entities=(fetch,))


A, B = (Key("a"),), (Key("b"),)
ROOT = Fetch(1, "root", "query", "{a{__typename id} b{__typename id}}")
PROFILES = entities(2, "User", "profile", A, B)
SMALL = entities(3, "Profile", "small", (*A, Key("profile")))
LARGE = entities(4, "Profile", "large", (*B, Key("profile")))
USER = shape("User", field("profile", "Profile", shape("Profile", field("picture", "String"))))
PLAN = QueryPlan(
    "query",
    Sequence((ROOT, PROFILES, Parallel((SMALL, LARGE)))),
    shape("Query", field("a", "User", USER), field("b", "User", USER)),
)


def users(request: SubgraphRequest) -> Any:
    if request.query == "profile":
        return {"_entities": [{"profile": {"__typename": "Profile", "id": "p"}}]}
    return {"_entities": [{"picture": request.query}]}


async def test_places_that_later_fetches_treat_differently_do_not_share() -> None:
    """Both places are the same user, asked for once; each keeps the picture that was asked for there."""
    user = {"__typename": "User", "id": "1"}
    root, subgraph = Subgraph(lambda _: {"a": dict(user), "b": dict(user)}), Subgraph(users)
    answer = await run(PLAN, root=root, users=subgraph)
    assert answer == {"data": {"a": {"profile": {"picture": "small"}}, "b": {"profile": {"picture": "large"}}}}
    assert [request.query for request in subgraph.requests] == ["profile", "small", "large"]


def test_only_such_answers_are_copied() -> None:
    """Without the later fetches, or with a single path, there is nothing to part."""
    assert isolated_entities(PLAN.node) == {2: frozenset(("_entities",))}
    assert isolated_entities(Sequence((ROOT, PROFILES))) == {}
    assert isolated_entities(Sequence((ROOT, entities(2, "User", "profile", A), SMALL))) == {}
