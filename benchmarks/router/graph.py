"""The graph of the public gateway benchmark, with data of our own: users, products, reviews, stock.

Four subgraphs; ``shippingEstimate`` is computed from the price and weight that the router sends, by the subgraph that
has neither.
"""

from __future__ import annotations

from typing import Any

from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", '
    'import: ["@key", "@external", "@requires", "@provides", "@shareable"])\n'
)
SUBGRAPHS = {
    "accounts": """
type Query { me: User user(id: ID!): User users: [User] }
type User @key(fields: "id") { id: ID! name: String username: String @shareable birthday: Int }
""",
    "inventory": """
type Product @key(fields: "upc") {
  upc: String! weight: Int @external price: Int @external
  inStock: Boolean shippingEstimate: Int @requires(fields: "price weight")
}
""",
    "products": """
type Query { topProducts(first: Int = 5): [Product] }
type Product @key(fields: "upc") { upc: String! name: String price: Int weight: Int }
""",
    "reviews": """
type Review @key(fields: "id") { id: ID! body: String author: User @provides(fields: "username") product: Product }
type User @key(fields: "id") { id: ID! username: String @external numberOfReviews: Int reviews: [Review] }
type Product @key(fields: "upc") { upc: String! reviews: [Review] }
""",
}
UNSPLIT = """
type Query { me: User user(id: ID!): User users: [User] topProducts(first: Int = 5): [Product] }
type User { id: ID! name: String username: String birthday: Int numberOfReviews: Int reviews: [Review] }
type Product {
  upc: String! name: String price: Int weight: Int inStock: Boolean shippingEstimate: Int reviews: [Review]
}
type Review { id: ID! body: String author: User product: Product }
"""
MACHINERY = """
scalar _Any
directive @key(fields: String!, resolvable: Boolean) repeatable on OBJECT
directive @external on FIELD_DEFINITION
directive @requires(fields: String!) on FIELD_DEFINITION
directive @provides(fields: String!) on FIELD_DEFINITION
directive @shareable on FIELD_DEFINITION
"""

FRAGMENTS = """
fragment User on User { id username name }
fragment Review on Review { id body }
fragment Product on Product { inStock name price shippingEstimate upc weight }
"""
QUERIES = {
    "big": """query Big {
  users { ...User reviews { ...Review product { ...Product
    reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } } } }
  topProducts { ...Product reviews { ...Review author { ...User reviews { ...Review product { ...Product } } } } }
}"""
    + FRAGMENTS,
    "medium": "query Medium { users { id name reviews { id body product { upc name price inStock } } } }",
    "one": "query One { users { id name username birthday } }",
}
MOST_BIG_FETCHES = 7
"""What the other planners need for the big query."""

_NAMES = ("Ada", "Basil", "Chandra", "Dorothea", "Emil", "Farida")
USERS = {
    str(number): {
        "__typename": "User",
        "id": str(number),
        "name": f"{name} Example",
        "username": f"{name.lower()}_{number}",
        "birthday": 1970 + number,
    }
    for number, name in enumerate(_NAMES, 1)
}
PRODUCTS = {
    str(number): {
        "__typename": "Product",
        "upc": str(number),
        "name": f"Article number {number}",
        "price": 11 + (number * 307) % 1900,
        "weight": 10 + (number * 113) % 900,
        "inStock": number % 3 != 0,
    }
    for number in range(1, 10)
}
REVIEWS = {
    str(number): {
        "__typename": "Review",
        "id": str(number),
        "body": ("Does what it says.", "Would buy it again!", "Not for me, sadly; it broke.")[number % 3],
        "author": str(number % 6 + 1),
        "product": str((number * 2) % 9 + 1),
    }
    for number in range(1, 28)
}


def shipping_estimate(price: int, weight: int) -> int:
    """Heavy things cost more to send, dear things nothing."""
    return 0 if price > 1000 else weight // 2


def unsplit_answer(query: str) -> dict[str, Any]:
    """What the answer must be."""
    result = execute_sync(build_schema(UNSPLIT), parse(query), field_resolver=_resolve)
    assert not result.errors, result.errors
    return {"data": result.data}


def subgraph_schema(name: str) -> GraphQLSchema:
    """One subgraph's executable schema, with ``_entities``."""
    sdl = SUBGRAPHS[name]
    entities = [entity for entity in ("User", "Product", "Review") if f"type {entity} @key" in sdl]
    root = "extend type Query" if "type Query" in sdl else "type Query"
    extra = f"union _Entity = {' | '.join(entities)}\n"
    extra += f"{root} {{ _entities(representations: [_Any!]!): [_Entity]! }}"
    return build_schema(MACHINERY + sdl + extra)


def subgraph_answer(schema: GraphQLSchema, query: str, variables: dict[str, Any] | None) -> dict[str, Any]:
    """A subgraph's answer to one operation."""
    result = execute_sync(
        schema,
        parse(query),
        variable_values=variables,
        field_resolver=_resolve,
        type_resolver=lambda value, _info, _type: value["__typename"],
    )
    return dict(result.formatted)


def _resolve(parent: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    name = info.field_name
    match name:
        case "_entities":
            return [_entity(representation) for representation in arguments["representations"]]
        case "users":
            return list(USERS.values())
        case "me":
            return USERS["1"]
        case "user":
            return USERS.get(arguments["id"])
        case "topProducts":
            return list(PRODUCTS.values())[: arguments["first"]]
        case "author":
            return USERS[parent["author"]]
        case "product":
            return PRODUCTS[parent["product"]]
        case "reviews" | "numberOfReviews":
            owner, ident = ("author", parent["id"]) if "id" in parent else ("product", parent["upc"])
            found = [review for review in REVIEWS.values() if review[owner] == ident]
            return found if name == "reviews" else len(found)
        case "shippingEstimate":
            # Of an entity only what was sent is known: without price and weight this fails, as it should.
            known = parent.get("sent", parent)
            return shipping_estimate(known["price"], known["weight"])
    return parent[name]


def _entity(representation: dict[str, Any]) -> dict[str, Any]:
    tables: dict[str, tuple[str, dict[str, Any]]] = {
        "User": ("id", USERS),
        "Product": ("upc", PRODUCTS),
        "Review": ("id", REVIEWS),
    }
    key, table = tables[representation["__typename"]]
    return {**table[representation[key]], "sent": representation}
