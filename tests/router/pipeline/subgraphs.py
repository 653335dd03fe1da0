"""Three small subgraphs, executable with graphql-core, and the router over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, execute, parse, subscribe

from router.app import RouterApp, create_app
from router.composition.compose import compose
from router.composition.model import SubgraphInput
from router.executor.transport import InProcessTransport, SubgraphRequest, SubgraphResponse
from router.settings import Settings

LINK = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.9",
  import: ["@key", "@shareable", "@external", "@requires", "@inaccessible", "@authenticated", "@requiresScopes"])
"""

ACCOUNTS = """
interface Actor { id: ID! name: String }
type User implements Actor @key(fields: "id") { id: ID! name: String email: String @authenticated }
type Bot implements Actor @key(fields: "id") { id: ID! name: String @requiresScopes(scopes: [["bots"]]) }
type Query { me: User actors: [Actor!]! secret: String! @requiresScopes(scopes: [["admin"], ["root", "sudo"]]) }
type Mutation { rename(name: String!): User erase: Boolean @authenticated }
"""

CATALOG = """
enum Size { SMALL LARGE HIDDEN @inaccessible }
type Product @key(fields: "upc") { upc: ID! name: String! price: Int weight: Int @shareable size: Size maker: User }
type User @key(fields: "id", resolvable: false) { id: ID! }
input Filter { text: String sizes: [Size!] first: Int! = 5 }
type Query { products(filter: Filter): [Product] product(upc: ID!): Product }
"""

REVIEWS = """
type Review { body: String author: User stars: Float! }
type Product @key(fields: "upc") {
  upc: ID! weight: Int @external reviews(first: Int = 10): [Review!]! freight: Int @requires(fields: "weight")
}
type User @key(fields: "id") { id: ID! reviews: [Review!] }
type Subscription { reviewAdded(count: Int!): Review }
type Query { latest: Review }
"""

USERS = {
    "1": {"__typename": "User", "id": "1", "name": "Ada", "email": "ada@example.org"},
    "2": {"__typename": "User", "id": "2", "name": "Bob", "email": "bob@example.org"},
}
ACTORS = [USERS["1"], {"__typename": "Bot", "id": "b", "name": "Robot"}]
PRODUCTS = {
    "a": {"upc": "a", "name": "Table", "price": 100, "weight": 7, "size": "SMALL", "maker": {"id": "1"}},
    "b": {"upc": "b", "name": "Chair", "price": 50, "weight": 3, "size": "HIDDEN", "maker": None},
}
REVIEWED: dict[str, list[dict[str, Any]]] = {
    "a": [{"body": "Good", "author": {"id": "2"}, "stars": 4.5}, {"body": "Fine", "author": {"id": "1"}, "stars": 3}],
    "b": [],
}
ALL_REVIEWS = [review for found in REVIEWED.values() for review in found]
RESOLVERS: dict[str, dict[str, Any]] = {
    "accounts": {
        "Query.me": lambda *_: USERS["1"],
        "Query.actors": lambda *_: ACTORS,
        "Query.secret": lambda *_: "42",
        "Mutation.rename": lambda _, info, name: {**USERS["1"], "name": name},
        "Mutation.erase": lambda *_: True,
        "User": lambda r: USERS.get(r["id"]),
        "Bot": lambda r: ACTORS[1],
    },
    "catalog": {
        "Query.products": lambda *_, filter=None: [*PRODUCTS.values(), None],
        "Query.product": lambda *_, upc: PRODUCTS.get(upc),
        "Product": lambda r: PRODUCTS.get(r["upc"]),
    },
    "reviews": {
        "Query.latest": lambda *_: REVIEWED["a"][0],
        "Product.reviews": lambda product, info, first: REVIEWED[product["upc"]][:first],
        "Product.freight": lambda product, info: product["weight"] * 2 if "weight" in product else None,
        "User.reviews": lambda user, info: [
            r for found in REVIEWED.values() for r in found if r["author"]["id"] == user["id"]
        ],
        "Product": lambda r: {key: value for key, value in r.items() if key != "__typename"},
        "User": lambda r: {"id": r["id"]},
    },
}


async def _review_added(_: Any, info: GraphQLResolveInfo[Any], count: int) -> AsyncIterator[Any]:
    for number in range(count):
        yield {"reviewAdded": {"body": f"Event {number}", "author": {"id": "1"}, "stars": number}}


class Served:
    """One subgraph that runs in this process and remembers its requests."""

    def __init__(self, name: str, sdl: str) -> None:
        self.name = name
        self.sdl = LINK + sdl
        self.requests: list[SubgraphRequest] = []
        self.schema = _executable(sdl, RESOLVERS[name])
        self.transport = InProcessTransport(self.execute, self.subscribe)

    async def execute(self, request: SubgraphRequest) -> SubgraphResponse:
        """Execute with graphql-core."""
        self.requests.append(request)
        result = execute(self.schema, parse(request.query), variable_values=request.variables)
        assert not hasattr(result, "__await__")
        return SubgraphResponse(result.data, [error.formatted for error in result.errors or ()] or None)  # type: ignore

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Subscribe with graphql-core."""
        self.requests.append(request)
        events: Any = subscribe(self.schema, parse(request.query), variable_values=request.variables)
        async for result in await events if hasattr(events, "__await__") else events:
            yield SubgraphResponse(result.data, None)


def _executable(sdl: str, resolvers: Mapping[str, Any]) -> GraphQLSchema:
    entities = [name for name in resolvers if "." not in name]
    directives = (
        "scalar F directive @key(fields: F, resolvable: Boolean) repeatable on OBJECT directive @shareable on "
        "FIELD_DEFINITION directive @external on FIELD_DEFINITION directive @requires(fields: F) on FIELD_DEFINITION "
        "directive @inaccessible on ENUM_VALUE directive @authenticated on FIELD_DEFINITION "
        "directive @requiresScopes(scopes: [[F]]) on FIELD_DEFINITION scalar _Any "
        f"union _Entity = {' | '.join(entities)} "
        "extend type Query { _entities(representations: [_Any!]!): [_Entity]! }"
    )
    schema = build_schema(directives + sdl)

    def resolve_entities(*_: Any, representations: list[dict[str, Any]]) -> list[Any]:
        found = []
        for representation in representations:
            entity = resolvers[representation["__typename"]](representation)
            found.append(entity and {**entity, "__typename": representation["__typename"]})
        return found

    schema.query_type.fields["_entities"].resolve = resolve_entities  # type: ignore[union-attr]
    for name, resolve in resolvers.items():
        type_name, _, field = name.partition(".")
        if field:
            schema.type_map[type_name].fields[field].resolve = resolve  # type: ignore[attr-defined]
    if schema.subscription_type:
        schema.subscription_type.fields["reviewAdded"].subscribe = _review_added
    return schema


def subgraphs() -> dict[str, Served]:
    """Fresh subgraphs by name."""
    sources = {"accounts": ACCOUNTS, "catalog": CATALOG, "reviews": REVIEWS}
    return {name: Served(name, sdl) for name, sdl in sources.items()}


def supergraph(served: Mapping[str, Served], urls: Mapping[str, str] | None = None) -> str:
    """The composed supergraph."""
    inputs = [SubgraphInput(name, (urls or {}).get(name, ""), subgraph.sdl) for name, subgraph in served.items()]
    result = compose(inputs)
    assert result.supergraph_sdl is not None, result.errors
    return result.supergraph_sdl


def router(served: Mapping[str, Served], settings: Settings | None = None, **options: Any) -> RouterApp:
    """The router, calling the subgraphs in this process."""
    transports = {name: subgraph.transport for name, subgraph in served.items()}
    return create_app(supergraph(served), settings or Settings(), transports, **options)
