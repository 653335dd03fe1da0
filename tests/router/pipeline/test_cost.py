"""Demand control: what operations are estimated to cost, and that those beyond the limit do not run."""

from __future__ import annotations

import random
from typing import Any

import pytest
from graphql import parse, validate
from hypothesis import given
from hypothesis import strategies as st

from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.errors import RequestError
from router.operation.normalize import select_operation
from router.operation.variables import coerce_variables
from router.pipeline.cost import LARGEST, CostModel
from router.pipeline.cost_weights import read_weights
from router.settings import ClientSettings, CostSettings, Limits, Settings
from router.supergraph.api_schema import api_schema
from router.supergraph.load import load_supergraph
from tests.router.pipeline.client import post
from tests.router.pipeline.persisting import client
from tests.router.pipeline.subgraphs import router, subgraphs

SDL = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.9",
  import: ["@key", "@shareable", "@cost", {name: "@listSize", as: "@sized"}])
interface Node { id: ID! }
type Book implements Node @key(fields: "id") {
  id: ID! title: String  author: Author  rating: Int @cost(weight: 3)  secret: Heavy  tags: [String]
  chapters: [Chapter!]! @sized(assumedSize: 7)
}
type Cover implements Node @cost(weight: 5) { id: ID! }
type Author { name: String books(first: Int = 20): [Book] }
type Chapter { number: Int }
type Edge { node: Book }
type Connection { edges: [Edge] nodes: [Book] total: Int }
scalar Heavy @cost(weight: 4)
enum Tone @cost(weight: 2) { LOUD SOFT }
input Page { first: Int  after: ID }
input Filter { text: String @cost(weight: 6)  and: [Filter!]  tone: Tone }
union Thing = Book | Cover
type Query {
  book(id: ID!): Book
  books: [Book]
  plain(first: Int): Connection
  sliced(first: Int, last: Int): [Book] @sized(slicingArguments: ["first", "last"])
  free(first: Int): [Book] @sized(assumedSize: 3, slicingArguments: ["first"], requireOneSlicingArgument: false)
  paged(first: Int): Connection @sized(slicingArguments: ["first"], sizedFields: ["edges"])
  find(filter: Filter, dear: Int @cost(weight: 8)): Book
  node: Node
  things: [Thing]
}
type Mutation { write: Book  log(in: String): Boolean }
"""


def model(sdl: str = SDL, **settings: Any) -> CostModel:
    result = compose([SubgraphInput("one", "", sdl)])
    assert result.supergraph_sdl is not None, result.errors
    supergraph = load_supergraph(result.supergraph_sdl)
    return CostModel(api_schema(supergraph), read_weights(supergraph), CostSettings(**settings))


MODEL = model()


def cost(query: str, of: CostModel = MODEL, **variables: Any) -> int:
    document = parse(query)
    assert not validate(of._schema, document)
    operation = select_operation(document, None)
    return of.compile(document, operation)(coerce_variables(of._schema, operation, variables))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ __typename __schema { types { name } } }", 0),
        ('{ book(id: "1") { id title author { name } } }', 2),
        ('{ book(id: "1") { rating secret } }', 1 + 3 + 4),
        ('{ book(id: "1") { tags } }', 1),
        ("{ books { id author { name } } }", 10 * 2),
        ('{ book(id: "1") { chapters { number } } }', 1 + 7),
        ('{ book(id: "1") { author { books { id } } } }', 2 + 20),
        ('{ book(id: "1") { author { books(first: 2) { id } } } }', 2 + 2),
        ("{ plain { edges { node { id } } } }", 1 + 10 * 2),
        ("{ plain(first: 3) { edges { node { id } } nodes { id } total } }", 1 + 3 * 2 + 3),
        ("{ sliced(first: 4) { id } }", 4),
        ("{ sliced(last: 5) { id } }", 5),
        ("{ sliced(first: 100000) { id } }", 100),
        ("{ sliced(first: -4) { id } }", 0),
        ("{ free { id } }", 3),
        ("{ free(first: 2) { id } }", 2),
        ("{ paged(first: 6) { edges { node { rating } } nodes { id } } }", 1 + 6 * (1 + 1 + 3) + 10),
        ("{ find(dear: 1) { id } }", 8 + 1),
        ('{ find(filter: {text: "a", and: [{text: "b"}, {tone: LOUD}]}) { id } }', 1 + 6 + 6 + 2),
        ("{ node { id } }", 5),
        ("{ things { ... on Book { rating } ... on Cover { id } } }", 10 * (5 + 3)),
        ("mutation { write { id } }", 10 + 1),
        ("{ a: books { id } b: books { id } }", 20),
        ("{ books { id } books { author { name } } }", 20),
        ("{ books @skip(if: true) { id } }", 0),
    ],
)
def test_costs_follow_the_directives(query: str, expected: int) -> None:
    """Weights of types, fields, arguments, input fields, enums, scalars; lengths of lists."""
    assert cost(query) == expected


def test_variables_change_the_cost_of_one_compiled_operation() -> None:
    """Sizes, inputs and conditions; the expression is compiled once."""
    document = parse(
        """query($n: Int = 3, $with: Boolean!, $filter: Filter) {
          sliced(first: $n) { id author @include(if: $with) { name } } find(filter: $filter) { id } }"""
    )
    operation = select_operation(document, None)
    compiled = MODEL.compile(document, operation)

    def of(**raw: Any) -> int:
        return compiled(coerce_variables(MODEL._schema, operation, raw))

    assert of(**{"with": False}) == 3 + 1
    assert of(**{"with": True}) == 6 + 1
    assert of(**{"with": True, "n": 50}) == 100 + 1
    assert of(**{"with": False, "filter": {"text": "a"}}) == 3 + 1 + 6


@pytest.mark.parametrize("query", ["{ sliced { id } }", "{ sliced(first: 1, last: 1) { id } }", "{ paged { total } }"])
def test_lists_must_be_sliced_as_the_schema_asks(query: str) -> None:
    """Exactly one slicing argument, unless the directive says otherwise."""
    with pytest.raises(RequestError, match="must be given exactly one of: first"):
        cost(query)


def test_slicing_arguments_may_be_inside_of_inputs() -> None:
    """A path into an input object, as other compositions allow."""
    sdl = "input Page { first: Int } type Book { id: ID } type Query { books(page: Page): [Book] }"
    of = model('extend schema @link(url: "https://specs.apollo.dev/federation/v2.9")\n' + sdl)
    from router.pipeline.cost_weights import ListSize

    of._weights.lists["Query", "books"] = ListSize(None, (("page", "first"),))
    assert cost("{ books(page: {first: 4}) { id } }", of) == 4
    assert cost("query($p: Page) { books(page: $p) { id } }", of, p={"first": 5}) == 5


def test_pages_may_be_unbounded() -> None:
    """For subgraphs that give as many as are asked for; costs stay numbers that JSON can carry."""
    unbounded = model(list_size_max=None)
    assert cost("{ sliced(first: 100000) { id } }", unbounded) == 100_000
    deep = "author { books(first: 2000000000) { " * 3 + "id" + " } }" * 3
    assert cost("{ books { " + deep + " } }", unbounded) == LARGEST


# --- properties ----------------------------------------------------------------------------------------------------

LEAVES = ["id", "title", "rating", "secret", "tags"]


@st.composite
def selections(draw: st.DrawFn, depth: int = 3) -> list[Any]:
    """Selections on Book: leaf names, and (field, selections) below."""
    found: list[Any] = draw(st.lists(st.sampled_from(LEAVES), min_size=1, max_size=3))
    if depth:
        first = draw(st.integers(0, 30))
        if draw(st.booleans()):
            found.append((f"author {{ books(first: {first})", draw(selections(depth - 1)), "}"))
    return found


def text(found: list[Any], fragments: dict[str, str] | None, rng: random.Random) -> str:
    """Printed inline, or with parts of it moved into named fragments."""
    parts = []
    for one in found:
        part = one if isinstance(one, str) else f"{one[0]} {{ {text(one[1], fragments, rng)} }} {one[2]}"
        if fragments is not None and rng.random() < 0.5:
            name = f"F{len(fragments)}"
            fragments[name] = f"fragment {name} on Book {{ {part} }}"
            part = f"...{name}"
        parts.append(part)
    return " ".join(parts)


def as_document(found: list[Any], seed: int | None = None) -> str:
    fragments: dict[str, str] | None = None if seed is None else {}
    body = text(found, fragments, random.Random(seed))
    return f"{{ books {{ {body} }} }} " + " ".join((fragments or {}).values())


def valid_cost(query: str) -> int:
    document = parse(query)
    return MODEL.compile(document, select_operation(document, None))({})


@given(selections(), st.integers(0, 2**16))
def test_fragments_cost_what_their_fields_cost(found: list[Any], seed: int) -> None:
    """Spread or written out, the operation is the same."""
    assert valid_cost(as_document(found, seed)) == valid_cost(as_document(found))


@given(selections(), selections())
def test_another_field_never_makes_an_operation_cheaper(found: list[Any], more: list[Any]) -> None:
    """Whatever is added beside what is there, under an alias of its own or not."""
    before = valid_cost(as_document(found))
    assert valid_cost(as_document([*found, *[one for one in more if isinstance(one, str)]])) >= before
    aliased = [one if isinstance(one, str) else ("extra: " + one[0], *one[1:]) for one in more]
    assert valid_cost(as_document([*found, *aliased])) >= before


# --- limits ---------------------------------------------------------------------------------------------------------

REVIEWS = "{ products { reviews(first: 9) { author { id } } } }"  # 10 * (1 + 9 * (1 + 1)) = 190
RESPONSE_JSON = "application/graphql-response+json"


async def test_the_limit_itself_is_allowed_and_one_more_is_not() -> None:
    """The refusal tells cost and limit, and no subgraph is asked."""
    served = subgraphs()
    allowed = await post(router(served, Settings(cost=CostSettings(anonymous=190))), REVIEWS)
    assert "errors" not in allowed.json
    for subgraph in served.values():
        subgraph.requests.clear()
    refused = await post(router(served, Settings(cost=CostSettings(anonymous=189))), REVIEWS, accept=RESPONSE_JSON)
    assert refused.status == 400
    (error,) = refused.json["errors"]
    assert error["extensions"]["code"] == "COST_ESTIMATED_TOO_EXPENSIVE"
    assert (error["extensions"]["cost"], error["extensions"]["limit"]) == (190, 189)
    assert not any(subgraph.requests for subgraph in served.values())


async def test_the_defaults_are_a_thousand_for_strangers() -> None:
    """Four nested lists of a hundred are too many."""
    query = "{ products { reviews(first: %d) { author { reviews { stars } } } } }"
    # 10 * (1 + n * (1 + 1 + 10))
    app = router(subgraphs())
    assert "errors" not in (await post(app, query % 8)).json
    refused = (await post(app, query % 9)).json["errors"][0]["extensions"]
    assert (refused["cost"], refused["limit"]) == (1090, 1000)
    assert CostSettings().signed_in == 5_000


async def test_a_client_has_a_limit_of_its_own() -> None:
    """In place of the others, higher or lower; demand control can be off."""
    clients: dict[str, ClientSettings] = {"big": client("big", None, cost=190), "small": client("small", None, cost=9)}
    app = router(subgraphs(), Settings(cost=CostSettings(anonymous=1), clients=clients))
    assert "errors" not in (await post(app, REVIEWS, x_api_key="big")).json
    assert "errors" in (await post(app, REVIEWS, x_api_key="small")).json
    assert "errors" in (await post(app, REVIEWS)).json
    off = router(subgraphs(), Settings(cost=CostSettings(enabled=False, anonymous=1)))
    assert "errors" not in (await post(off, REVIEWS)).json


async def test_the_cost_is_told_to_developers_who_ask() -> None:
    """Beside the plan, and to nobody else."""
    answer = (await post(router(subgraphs(), Settings(dev=True)), REVIEWS, router_plan="1")).json
    assert answer["extensions"]["cost"] == {"estimated": 190}
    assert "extensions" not in (await post(router(subgraphs()), REVIEWS, router_plan="1")).json


async def test_some_mutations_must_be_alone() -> None:
    """Many guesses of a password in one request, under aliases or in fragments, are refused; one runs."""
    limits = Limits(single_root_fields=("rename",))
    app = router(subgraphs(), Settings(limits=limits))
    assert "errors" not in (await post(app, 'mutation { rename(name: "a") { id } }')).json
    for query in (
        'mutation { rename(name: "a") { id } b: rename(name: "b") { id } }',
        'mutation { ...F b: rename(name: "b") { id } } fragment F on Mutation { rename(name: "a") { id } }',
        'mutation { rename(name: "a") { id } ... { __typename } }',
    ):
        refused = (await post(app, query)).json
        assert refused["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    free = router(subgraphs())
    assert "errors" not in (await post(free, 'mutation { rename(name: "a") { id } b: rename(name: "b") { id } }')).json


async def test_a_bomb_of_fragments_is_refused_at_once() -> None:
    """2^60 fields in a small document never reach the estimate."""
    fragments = "".join(f"fragment F{n} on User {{ ...F{n + 1} ...F{n + 1} }} " for n in range(60))
    refused = (await post(router(subgraphs()), f"{{ me {{ ...F0 }} }} {fragments} fragment F60 on User {{ id }}")).json
    assert refused["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
