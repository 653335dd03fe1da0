"""A subgraph with the kit: how many stars products have. ``DURE_CLAIMS_SECRET=... python ratings.py 4203``."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import strawberry
import uvicorn
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.session import Database
from subgraphs.kit.app import http_app
from subgraphs.kit.entities import Representation, resolve_entities
from subgraphs.kit.execute import Caller, GraphQLEndpoint
from subgraphs.kit.identity import ClaimsVerifier

metadata = MetaData()
ratings = Table(
    "ratings",
    metadata,
    Column("product_id", String(64), index=True),
    Column("stars", Integer, CheckConstraint("stars BETWEEN 1 AND 5")),
)
database = Database("sqlite+aiosqlite:///ratings.sqlite")

Info = strawberry.Info[Caller, None]


@strawberry.federation.type(keys=["id"])
class Product:
    id: strawberry.ID
    rating: float | None = None


@strawberry.type
class UserError:
    message: str


@strawberry.type
class RatingPayload:
    product: Product | None
    user_errors: list[UserError]


@strawberry.type
class Query:
    @strawberry.field
    async def best_rated(self) -> Product | None:
        mean = func.avg(ratings.c.stars)
        query = select(ratings.c.product_id, mean).group_by(ratings.c.product_id).order_by(mean.desc()).limit(1)
        async with database.read() as connection:
            row = (await connection.execute(query)).first()
        return Product(id=row[0], rating=float(row[1])) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def product_rate(self, info: Info, id: strawberry.ID, stars: int) -> RatingPayload:
        if not 1 <= stars <= 5:
            return RatingPayload(product=None, user_errors=[UserError(message="From 1 to 5 stars.")])

        # Who asks is in the router's signed claims: info.context.identity.require_user() would refuse strangers.
        async def write(tx: AsyncConnection) -> None:
            await tx.execute(insert(ratings).values(product_id=id, stars=stars))

        await database.run(write)
        (product,) = await products([{"id": id}], info.context)
        return RatingPayload(product=product, user_errors=[])


async def products(representations: Sequence[Representation], _: Any) -> list[Product]:
    """The entities of a whole request in one statement, in the order they were asked for."""
    ids = [str(each["id"]) for each in representations]
    query = select(ratings.c.product_id, func.avg(ratings.c.stars)).where(ratings.c.product_id.in_(ids))
    async with database.read() as connection:
        found = dict((await connection.execute(query.group_by(ratings.c.product_id))).tuples().all())
    return [Product(id=strawberry.ID(id), rating=float(found[id]) if id in found else None) for id in ids]


schema = strawberry.federation.Schema(query=Query, mutation=Mutation)
resolve_entities(schema, {"Product": products})
endpoint = GraphQLEndpoint(schema, lambda caller: caller, ClaimsVerifier(os.environ["DURE_CLAIMS_SECRET"]))


async def serve(port: int) -> None:
    async with database.transaction() as tx:
        await tx.run_sync(metadata.create_all)
    app = http_app("ratings", endpoint, database)
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")).serve()


if __name__ == "__main__":
    if sys.argv[1] == "sdl":
        print(endpoint.sdl)
    else:
        asyncio.run(serve(int(sys.argv[1])))
