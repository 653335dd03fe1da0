"""Products, in Python with Strawberry: ``python products.py 4201``."""

import sys

import strawberry
import uvicorn
from strawberry.asgi import GraphQL


@strawberry.federation.type(keys=["id"])
class Product:
    id: strawberry.ID
    name: str
    price: int

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> "Product | None":
        return PRODUCTS.get(id)


PRODUCTS = {
    strawberry.ID(id): Product(id=strawberry.ID(id), name=name, price=price)
    for id, name, price in (("1", "Teapot", 32000), ("2", "Cup", 9000))
}


@strawberry.type
class Query:
    @strawberry.field
    def products(self) -> list[Product]:
        return list(PRODUCTS.values())

    @strawberry.field
    def product(self, id: strawberry.ID) -> Product | None:
        return PRODUCTS.get(id)


schema = strawberry.federation.Schema(query=Query)

if __name__ == "__main__":
    uvicorn.run(GraphQL(schema), port=int(sys.argv[1]), log_level="warning")
